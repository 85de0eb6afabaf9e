//! The settings of a run for TensorBoard's HParams page.

use std::collections::BTreeMap;

use prost::Message;
use serde_json::Value;

use super::proto::{
    self, HParamsPluginData, PluginData, SessionEndInfo, SessionStartInfo, Setting,
};

/// Every key of a resolved pipeline, such as `optimizer.learning_rate`.
pub(super) fn start(pipeline: &str, seconds: f64) -> proto::Summary {
    let mut hparams = BTreeMap::new();
    // A folder without a readable pipeline still has numbers to show.
    if let Ok(pipeline) = serde_yaml::from_str::<Value>(pipeline) {
        flatten("", &pipeline, &mut hparams);
    }
    let start = SessionStartInfo { hparams, start_time_secs: seconds };
    let data = HParamsPluginData { session_start_info: Some(start), session_end_info: None };
    summary("_hparams_/session_start_info", &data)
}

/// The run ended well.
pub(super) fn end(seconds: f64) -> proto::Summary {
    let end = SessionEndInfo { status: proto::SUCCESS, end_time_secs: seconds };
    let data = HParamsPluginData { session_start_info: None, session_end_info: Some(end) };
    summary("_hparams_/session_end_info", &data)
}

fn summary(tag: &str, data: &HParamsPluginData) -> proto::Summary {
    let plugin_data =
        PluginData { plugin_name: "hparams".to_owned(), content: data.encode_to_vec() };
    let metadata = Some(proto::SummaryMetadata { plugin_data: Some(plugin_data) });
    let value = proto::Value { tag: tag.to_owned(), metadata, ..proto::Value::default() };
    proto::Summary { value: vec![value] }
}

fn flatten(prefix: &str, value: &Value, found: &mut BTreeMap<String, Setting>) {
    let setting = match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&path, value, found);
            }
            return;
        }
        Value::Null => return,
        Value::Bool(it) => Setting { bool_value: Some(*it), ..Setting::default() },
        Value::Number(it) => Setting { number_value: it.as_f64(), ..Setting::default() },
        Value::String(it) => Setting { string_value: Some(it.clone()), ..Setting::default() },
        Value::Array(_) => Setting { string_value: Some(value.to_string()), ..Setting::default() },
    };
    found.insert(prefix.to_owned(), setting);
}
