use super::*;

/// Names and shapes of few-shot code's ResNet12; `group` names a layer group.
fn state_dict(group: impl Fn(usize) -> String) -> Vec<(String, Vec<usize>)> {
    let mut tensors = Vec::new();
    let mut input = 3;
    for (number, width) in (1..).zip([64, 160, 320, 640]) {
        let group = group(number);
        let mut norm = |name: &str| {
            for leaf in ["weight", "bias", "running_mean", "running_var"] {
                tensors.push((format!("{group}.{name}.{leaf}"), vec![width]));
            }
        };
        ["bn1", "bn2", "bn3", "downsample.1"].into_iter().for_each(&mut norm);
        for (conv, read) in [("conv1", input), ("conv2", width), ("conv3", width)] {
            tensors.push((format!("{group}.{conv}.weight"), vec![width, read, 3, 3]));
        }
        tensors.push((format!("{group}.downsample.0.weight"), vec![width, input, 1, 1]));
        input = width;
    }
    tensors
}

const PIPELINE: &str = "
name: published
device: cpu
data: {format: synthetic, image_size: 16}
episode: {n_way: 2, k_shot: 1, n_query: 1}
backbone: {kind: resnet12_wide, weights: {from: few_shot, path: start.safetensors}}
method: {kind: protonet}
train: {epochs: 0}
test: {episodes: 2}
";

/// Of RFS, MetaOptNet and FEAT, whose layer groups have numbered blocks, and of Meta-Baseline, where each is a block.
#[test]
fn weights_of_few_shot_code_come_in_and_go_out_again() {
    let numbered = state_dict(|number| format!("layer{number}.0"));
    let expected: Vec<Vec<f32>> =
        numbered.iter().map(|(name, shape)| expected(name, shape)).collect();
    for (prefix, theirs) in
        [("module.encoder.", numbered.clone()), ("", state_dict(|number| format!("layer{number}")))]
    {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let tensors = theirs.iter().zip(&expected);
        let tensors = tensors.map(|((name, shape), values)| {
            (format!("{prefix}{name}"), shape.as_slice(), values.as_slice())
        });
        let classifier = ("classifier.weight".to_owned(), &[2usize, 640][..], &[0.0; 1280][..]);
        write_tensors(&here.join("start.safetensors"), tensors.chain([classifier]));
        fs::write(here.join("p.yaml"), PIPELINE).unwrap();
        let text = succeeds(here, &["run", "p.yaml"]);
        assert!(text.contains("80 tensors loaded"), "{text}");
        assert!(text.contains("left in the file: classifier.weight"), "{text}");
        let run = fs::read_dir(here.join("runs")).unwrap().next().unwrap().unwrap().path();
        let run = run.to_str().unwrap();
        succeeds(here, &["export", run, "--names", "torchvision", "--to", "out.safetensors"]);
        let mut exported = read_tensors(&here.join("out.safetensors"));
        for ((name, shape), values) in numbered.iter().zip(&expected) {
            let found = exported.remove(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert!(found.0 == *shape && found.1 == *values, "{name}");
        }
        assert!(exported.is_empty(), "{:?}", exported.keys());
    }
}

#[test]
fn narrower_blocks_of_the_same_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // The last width of Meta-Baseline's smaller network.
    let mut tensors = state_dict(|number| format!("layer{number}"));
    let narrow = |side: &mut usize| *side = if *side == 640 { 512 } else { *side };
    tensors.iter_mut().flat_map(|(_, shape)| shape).for_each(narrow);
    let values: Vec<Vec<f32>> =
        tensors.iter().map(|(_, shape)| vec![0.5; shape.iter().product()]).collect();
    let named = tensors.iter().zip(&values);
    let named = named.map(|((name, shape), values)| (name.clone(), &shape[..], &values[..]));
    write_tensors(&here.join("start.safetensors"), named);
    fs::write(here.join("p.yaml"), PIPELINE).unwrap();
    let output = fsct(here, &["validate", "p.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    let problem = "`layer4.conv1.weight` is [512, 320, 3, 3] and should be [640, 320, 3, 3]";
    assert!(text.contains(problem), "{text}");
}
