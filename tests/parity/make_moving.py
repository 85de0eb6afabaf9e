"""Writes tests/data/moving: models of the published code and their answers, for tests/moving.rs.

    python3 tests/parity/make_moving.py CHECKOUT

CHECKOUT is a working copy of the published code of "Enhancing Few-Shot Image Classification With Cosine
Transformer". Needs PyTorch, torchvision, Pillow and einops. Nothing of that code is copied: its modules are
imported, filled with weights that follow a formula, saved as its `train_test.py` saves them, and asked one
episode.

Each value of a tensor depends on the sum of its indices alone, so that a tensor is an overlapping view of a
short storage and a whole model takes kilobytes.
"""

import json
import pathlib
import sys
import types
import zlib

import numpy
import torch
import torchvision
from PIL import Image

OUT = pathlib.Path(__file__).parent.parent / "data" / "moving"
N_WAY, K_SHOT, N_QUERY = 3, 2, 3

# name, backbone, --FETI, data set, method
MODELS = [
    ("conv4_fsct_cosine", "Conv4", 0, "CIFAR", "FSCT_cosine"),
    ("conv4_fsct_softmax", "Conv4", 0, "CIFAR", "FSCT_softmax"),
    ("conv4_ctx_cosine", "Conv4", 0, "CIFAR", "CTX_cosine"),
    ("conv4_ctx_softmax", "Conv4", 0, "CIFAR", "CTX_softmax"),
    ("conv6_fsct_cosine", "Conv6", 0, "CIFAR", "FSCT_cosine"),
    ("conv4snp_ctx_softmax", "Conv4SNP", 0, "Omniglot", "CTX_softmax"),
    ("resnet18_fsct_cosine", "ResNet18", 0, "CIFAR", "FSCT_cosine"),
    ("resnet18_ctx_softmax", "ResNet18", 0, "CIFAR", "CTX_softmax"),
    ("feti12_ctx_cosine", "ResNet12", 1, "CIFAR", "CTX_cosine"),
]


def value(name, shape):
    """Weights of about the size that training leaves."""
    length = sum(side - 1 for side in shape) + 1
    phase = zlib.crc32(name.encode()) % 1000
    wave = torch.sin(torch.arange(length, dtype=torch.float64) * 1.5 + phase)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        wave = 1 + 0.5 * wave.abs()
    elif leaf == "running_mean" or leaf == "bias":
        wave = 0.1 * wave
    elif len(shape) == 1:
        wave = 1 + 0.1 * wave
    elif leaf == "weight_g":
        wave = 5 + wave
    elif len(shape) > 1 and leaf != "proto_weight":
        # What is added to the prototypes must not hide them.
        added = name.startswith(("FFN.3", "ATTN.output"))
        wave = wave * numpy.prod(shape[1:]) ** -0.5 * (0.1 if added else 1)
    return wave.to(torch.float32).as_strided(shape, [1] * len(shape))


def fill(module):
    """Replaces every tensor of a module; returns its state dict of overlapping views."""
    state, views, seen = module.state_dict(), {}, {}
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            views[name] = torch.tensor(7)
            continue
        # A tensor that is registered twice is one tensor.
        if tensor.data_ptr() not in seen:
            seen[tensor.data_ptr()] = value(name, list(tensor.shape))
        views[name] = seen[tensor.data_ptr()]
    module.load_state_dict({name: view.clone() for name, view in views.items()})
    return views


def pixels(number, size, grey):
    """An image of the data set; tests/moving.rs draws the same."""
    y, x = numpy.mgrid[0:size, 0:size]
    channels = [
        ((x * (1 + number % 5) + y * (2 + number // 5) + 60 * c) ^ ((x * y) >> (3 + number % 3))) & 255
        for c in ([0, 0, 0] if grey else range(3))
    ]
    return numpy.stack(channels, -1).astype(numpy.uint8)


def episode(loader, size, grey):
    """Three classes of five images: the first two are support."""
    per_class = K_SHOT + N_QUERY
    transform = loader(size).get_composed_transform(aug=False)
    images = [transform(Image.fromarray(pixels(it, size, grey))) for it in range(N_WAY * per_class)]
    return torch.stack(images).view(N_WAY, per_class, 3, size, size)


def stub(name, **attributes):
    """A module that the published code imports and that is not needed here."""
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module


def main():
    checkout = sys.argv[1]
    for name in ("wandb", "IPython", "cv2", "h5py", "tqdm"):
        stub(name)
    sys.path.insert(0, checkout)
    import backbone
    from data.datamgr import TransformLoader
    from methods.CTX import CTX
    from methods.transformer import FewShotTransformer

    OUT.mkdir(parents=True, exist_ok=True)

    def resnet18(pretrained):
        net = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [2, 2, 2, 2])
        torch.save(fill(net), OUT / "resnet18.pth")
        return net

    def feti_file(_):
        feti = backbone.ResNet(backbone.BasicBlock, [2, 1, 1, 1])
        return {"state_dict": {name: view.clone() for name, view in fill(feti).items()}}

    backbone.models = types.SimpleNamespace(resnet18=resnet18)
    backbone.pretrain_load = feti_file
    answers = {}
    for name, kind, feti, dataset, method in MODELS:
        head, variant = method.split("_")
        flatten = head == "FSCT"
        build = getattr(backbone, kind)
        resnet = "ResNet" in kind

        def feature_model():
            return build(feti, dataset, flatten=flatten) if resnet else build(dataset, flatten=flatten)

        shape = dict(n_way=N_WAY, k_shot=K_SHOT, n_query=N_QUERY, variant=variant)
        if head == "FSCT":
            model = FewShotTransformer(feature_model, **shape)
        else:
            model = CTX(feature_model, input_dim=512 if resnet else 64, **shape)
        state = fill(model)
        torch.save({"epoch": 3, "state": state}, OUT / f"{name}.tar")
        size = (112 if resnet else 64) if dataset == "CIFAR" else (224 if resnet else 84)
        x = episode(TransformLoader, size, grey=dataset == "Omniglot")
        with torch.no_grad():
            # train_test.py tests after eval().
            model.eval()
            answers[name] = model.set_forward(x).tolist()
            if name == "conv4_fsct_cosine":
                # test.py never calls it.
                model.train()
                answers[f"{name}_test_py"] = model.set_forward(x).tolist()
        print(name, (OUT / f"{name}.tar").stat().st_size, answers[name][:2])
    (OUT / "logits.json").write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
