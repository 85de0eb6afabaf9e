//! Rules over several keys, as far as a schema can say them.

use serde_json::{Value, json};

use crate::config::pipeline::{BackboneKind, MethodKind, READ_BY, Severity, rule_of_unread};

/// Rules over several keys, as far as a schema can say them.
pub fn conditions(schema: &serde_json::Map<String, Value>) -> Vec<Value> {
    let key = |path: &str| {
        let inner = path.split('.').map(|name| format!("/properties/{name}")).collect::<String>();
        schema.get("properties").and_then(|it| it.pointer(inner.strip_prefix("/properties")?))
    };
    let one_of = |section, kinds: &Value| {
        within(section, json!({"properties": {"kind": {"enum": kinds}}, "required": ["kind"]}))
    };
    let then = |section: &str, name: &str, rule: Value| json!({"properties": {section: {"properties": {name: rule}}}});
    let kinds = |path| key(path).map_or(Value::Null, |kind| kind["enum"].clone());
    let mut rules = Vec::new();

    let backbones = kinds("backbone.kind");
    let backbones: Vec<BackboneKind> = serde_json::from_value(backbones).unwrap_or_default();
    for kind in &backbones {
        let least = then("data", "image_size", json!({"minimum": kind.min_image_size()}));
        rules.push(json!({"if": one_of("backbone", &json!([kind])), "then": least}));
    }
    let others: Vec<_> = backbones.iter().filter(|kind| !kind.has_trunk()).collect();
    let no_trunk = then("backbone", "trunk", json!({"type": "null"}));
    rules.push(json!({"if": one_of("backbone", &json!(others)), "then": no_trunk}));
    let feti = then("backbone", "trunk", json!({"enum": ["feti", null]}));
    rules.push(json!({"if": one_of("backbone", &json!([BackboneKind::Resnet12])), "then": feti}));
    let from = |source: &str| {
        let weights = json!({"type": "object", "properties": {"from": {"const": source}}, "required": ["from"]});
        within("backbone", json!({"properties": {"weights": weights}, "required": ["weights"]}))
    };
    let resnets: Vec<_> = backbones.iter().filter(|kind| kind.has_trunk()).collect();
    let named: Vec<_> = resnets.iter().filter(|kind| ***kind != BackboneKind::Resnet12).collect();
    let torchvision = json!({"properties": {"backbone": {"properties":
        {"kind": {"enum": named}, "trunk": {"enum": ["torchvision", null]}}}}});
    rules.push(json!({"if": from("torchvision"), "then": torchvision}));
    let feti = json!({"properties": {"backbone": {"anyOf": [
        {"properties": {"kind": {"const": BackboneKind::Resnet12}}},
        {"properties": {"kind": {"enum": resnets}, "trunk": {"const": "feti"}}, "required": ["trunk"]},
    ]}}});
    rules.push(json!({"if": from("feti"), "then": feti}));
    let wide = then("backbone", "kind", json!({"const": BackboneKind::Resnet12Wide}));
    rules.push(json!({"if": from("few_shot"), "then": wide}));
    rules.extend(of_vit(&backbones));
    let vits: Vec<_> = backbones.iter().filter(|kind| kind.is_vit()).collect();
    let vit = then("backbone", "kind", json!({"enum": vits}));
    rules.push(json!({"if": from("dinov2"), "then": vit}));
    let trained = then("backbone", "train", json!({"const": true}));
    let without_weights = |kind: &MethodKind| kind.has_gradient() && !kind.has_weights();
    let without_weights: Vec<_> = MethodKind::ALL.into_iter().filter(without_weights).collect();
    // Without training episodes nothing has to be trained.
    let none = |key: &str| within("train", within(key, json!({"const": 0})));
    let tests_only = json!({"anyOf": [none("epochs"), none("episodes_per_epoch")]});
    let trains = json!({"allOf": [one_of("method", &json!(without_weights)), {"not": tests_only}]});
    rules.push(json!({"if": trains, "then": trained}));

    let refused = |path: &str| rule_of_unread(path).severity() == Severity::Error;
    // Keys below `train.pretrain` are checked by the program alone.
    let of_section = |path: &str| path.matches('.').count() == 1;
    for (path, by, choices) in READ_BY.iter().filter(|(path, ..)| refused(path) && of_section(path))
    {
        let kinds = kinds(by);
        let others = kinds.as_array().into_iter().flatten();
        let others: Vec<_> =
            others.filter(|kind| !choices.iter().any(|choice| *kind == choice)).collect();
        let default = key(path).and_then(|schema| schema.get("default"));
        let (Some((section, name)), Some(default)) = (path.split_once('.'), default) else {
            continue;
        };
        debug_assert!(by.starts_with(section));
        let default = then(section, name, json!({"const": default}));
        rules.push(json!({"if": one_of(section, &json!(others)), "then": default}));
    }
    let vic = json!({"properties": {"vic": {"type": "object"}}, "required": ["vic"]});
    let profoct = then("method", "kind", json!({"const": MethodKind::Profoct}));
    rules.push(json!({"if": within("method", vic), "then": profoct}));
    let finetune =
        json!({"properties": {"finetune": {"type": "object"}}, "required": ["finetune"]});
    let protonet = then("method", "kind", json!({"const": MethodKind::Protonet}));
    rules.push(json!({"if": within("method", finetune), "then": protonet}));
    rules
}

/// What a vision transformer asks of other keys.
fn of_vit(backbones: &[BackboneKind]) -> Vec<Value> {
    let vits: Vec<_> = backbones.iter().filter(|kind| kind.is_vit()).collect();
    let is_vit =
        within("backbone", json!({"properties": {"kind": {"enum": vits}}, "required": ["kind"]}));
    let without = json!({"properties": {
        "backbone": {"properties": {"batch_norm": {"type": "null"}}},
        "memory": {"properties": {"activations": {"const": "f32"}}},
        "method": {"properties": {"kind": {"not": {"enum": [MethodKind::Ctx, MethodKind::Relation]}}}},
    }});
    let absent = json!({"properties": {"backbone": {"properties":
        {"patch_size": {"type": "null"}, "registers": {"type": "null"}}}}});
    let mut rules = vec![json!({"if": is_vit, "then": without, "else": absent})];
    // Other sizes are checked by the program alone.
    for (size, is_written) in [(14, false), (14, true), (16, true)] {
        let size_of = match is_written {
            true => {
                json!({"properties": {"patch_size": {"const": size}}, "required": ["patch_size"]})
            }
            false => json!({"not": {"required": ["patch_size"]}}),
        };
        let patches = within("backbone", size_of);
        let multiple =
            json!({"properties": {"data": {"properties": {"image_size": {"multipleOf": size}}}}});
        rules.push(json!({"if": {"allOf": [is_vit, patches]}, "then": multiple}));
    }
    rules
}

/// A schema for a key that is there.
fn within(key: &str, schema: Value) -> Value {
    json!({"properties": {key: schema}, "required": [key]})
}
