//! What each amount of memory buys.

use super::candidates::with_states;
use super::{Environment, Setting};
use crate::config::Pipeline;

/// A setting is on the frontier if it takes less than the one before by more than this share.
const STEP: f64 = 0.04;

/// The settings that [`fit`](super::fit) finds as the budget falls, from the largest budget to the smallest that
/// anything fits: each is the cheapest of those that take no more. Those that round more than the pipeline does come
/// after all others, so that the time may fall where they begin. Without cached images, which come before any setting.
pub fn frontier(pipeline: &Pipeline, environment: Environment) -> Vec<Setting> {
    let all = with_states(pipeline, environment);
    let all: Vec<Setting> = all.into_iter().map(|it| it.without_images(environment)).collect();
    let smallest = all.iter().min_by_key(|it| it.peak_bytes).cloned();
    let mut found: Vec<Setting> = Vec::new();
    for setting in all {
        let takes_less = |before: &Setting| {
            (setting.peak_bytes as f64) < (1.0 - STEP) * before.peak_bytes as f64
        };
        if found.last().is_none_or(takes_less) {
            found.push(setting);
        }
    }
    let last = found.last().map(|it| it.peak_bytes);
    found.extend(smallest.filter(|it| Some(it.peak_bytes) < last));
    found
}
