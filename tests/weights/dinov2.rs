use super::*;

const WIDTH: usize = 384;

/// Names and shapes of a file of DINOv2's ViT-S/14: of its authors, whose positions are those of 518 px.
fn state_dict(registers: usize) -> Vec<(String, Vec<usize>)> {
    let mut tensors = vec![
        ("cls_token".to_owned(), vec![1, 1, WIDTH]),
        ("pos_embed".to_owned(), vec![1, 1370, WIDTH]),
        ("mask_token".to_owned(), vec![1, WIDTH]),
        ("patch_embed.proj.weight".to_owned(), vec![WIDTH, 3, 14, 14]),
        ("patch_embed.proj.bias".to_owned(), vec![WIDTH]),
        ("norm.weight".to_owned(), vec![WIDTH]),
        ("norm.bias".to_owned(), vec![WIDTH]),
    ];
    if registers > 0 {
        tensors.push(("register_tokens".to_owned(), vec![1, registers, WIDTH]));
    }
    for block in 0..12 {
        for (layer, output, input) in [
            ("attn.qkv", 3 * WIDTH, WIDTH),
            ("attn.proj", WIDTH, WIDTH),
            ("mlp.fc1", 4 * WIDTH, WIDTH),
            ("mlp.fc2", WIDTH, 4 * WIDTH),
        ] {
            tensors.push((format!("blocks.{block}.{layer}.weight"), vec![output, input]));
            tensors.push((format!("blocks.{block}.{layer}.bias"), vec![output]));
        }
        for name in
            ["norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "ls1.gamma", "ls2.gamma"]
        {
            tensors.push((format!("blocks.{block}.{name}"), vec![WIDTH]));
        }
    }
    tensors
}

/// The names and tensors of Hugging Face's `Dinov2Model`, of those of the authors.
fn hugging_face(tensors: &[(String, Vec<usize>)]) -> Vec<(String, Vec<usize>)> {
    let mut others = Vec::new();
    for (name, shape) in tensors {
        let renamed = [
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
            ("cls_token", "embeddings.cls_token"),
            ("mask_token", "embeddings.mask_token"),
            ("register_tokens", "embeddings.register_tokens"),
            ("pos_embed", "embeddings.position_embeddings"),
            ("attn.proj", "attention.output.dense"),
            ("attn.qkv", "attention.attention.qkv"),
            ("ls1.gamma", "layer_scale1.lambda1"),
            ("ls2.gamma", "layer_scale2.lambda1"),
            ("blocks.", "encoder.layer."),
        ];
        let renamed = renamed.iter().fold(name.clone(), |name, (old, new)| name.replace(old, new));
        let name = match renamed.strip_prefix("norm.") {
            Some(leaf) => format!("layernorm.{leaf}"),
            None => renamed,
        };
        if name.contains(".qkv.") {
            let mut shape = shape.clone();
            shape[0] /= 3;
            let parts = ["query", "key", "value"];
            others.extend(parts.map(|part| (name.replace("qkv", part), shape.clone())));
        } else {
            others.push((name, shape.clone()));
        }
    }
    others
}

fn pipeline(registers: usize) -> String {
    format!(
        "
name: published
device: cpu
data: {{format: synthetic, image_size: 28, normalize: imagenet}}
episode: {{n_way: 2, k_shot: 1, n_query: 1}}
backbone: {{kind: vit_small, registers: {registers}, train: false, weights: {{from: dinov2, path: start.safetensors}}}}
method: {{kind: protonet}}
train: {{epochs: 0}}
test: {{episodes: 2}}
"
    )
}

/// Small numbers, the same of one name and another.
fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    expected(name, shape).into_iter().map(|value| value * 0.01).collect()
}

fn start(here: &Path, tensors: &[(String, Vec<usize>)], pipeline: &str) {
    let values: Vec<Vec<f32>> = tensors.iter().map(|(name, shape)| values(name, shape)).collect();
    let named = tensors.iter().zip(&values);
    let named = named.map(|((name, shape), values)| (name.clone(), &shape[..], &values[..]));
    write_tensors(&here.join("start.safetensors"), named);
    fs::write(here.join("p.yaml"), pipeline).unwrap();
}

#[test]
fn weights_of_dinov2_come_in_and_go_out_again() {
    for registers in [0, 4] {
        let own = state_dict(registers);
        for theirs in [own.clone(), hugging_face(&own)] {
            let folder = tempfile::tempdir().unwrap();
            let here = folder.path();
            start(here, &theirs, &pipeline(registers));
            let text = succeeds(here, &["run", "p.yaml"]);
            let loaded = own.len() - 1;
            assert!(text.contains(&format!("{loaded} tensors loaded")), "{text}");
            assert!(text.contains("mask_token"), "{text}");
            let run = fs::read_dir(here.join("runs")).unwrap().next().unwrap().unwrap().path();
            let run = run.to_str().unwrap();
            succeeds(here, &["export", run, "--names", "torchvision", "--to", "out.safetensors"]);
            let mut exported = read_tensors(&here.join("out.safetensors"));
            let positions = exported.remove("pos_embed").unwrap();
            assert_eq!(positions.0, [1, 5, WIDTH], "those of four patches and the class token");
            for (name, shape) in &own {
                if name == "mask_token" || name == "pos_embed" {
                    continue;
                }
                let found = exported.remove(name).unwrap_or_else(|| panic!("{name} is missing"));
                assert!(found.0 == *shape, "{name}");
                // Values follow from the names in the file.
                if theirs == own {
                    assert!(found.1 == values(name, shape), "{name}");
                }
            }
            assert!(exported.is_empty(), "{:?}", exported.keys());
        }
    }
}

#[test]
fn other_registers_than_the_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    start(here, &state_dict(4), &pipeline(0));
    let output = fsct(here, &["validate", "p.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("backbone.registers: 4"), "{text}");
    start(here, &state_dict(0), &pipeline(4));
    let output = fsct(here, &["validate", "p.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("`register_tokens` is missing"), "{text}");
}

#[test]
fn weights_of_patches_of_another_size_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let pipeline = pipeline(0).replace("registers: 0", "patch_size: 7");
    start(here, &state_dict(0), &pipeline);
    let output = fsct(here, &["validate", "p.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("`patch_embed.proj.weight` is"), "{text}");
}
