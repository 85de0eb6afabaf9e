//! "Did you mean": close enough to be a slip, never a guess.

/// The candidate that `word` is a slip of, if exactly one is.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    match nearest(word, candidates).as_slice() {
        [only] => Some(only),
        _ => None,
    }
}

/// "did you mean `a`?", or the few that are equally near: `resnet` is a slip of three.
pub fn meant<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let nearest = nearest(word, candidates);
    (1..=3)
        .contains(&nearest.len())
        .then(|| format!("did you mean {}?", list(nearest.iter().copied(), "or")))
}

/// The candidates that `word` may be a slip of, all equally near.
///
/// Two letters swapped, dropped, doubled or wrong are a slip; a third of the word is not. One edit
/// is allowed in a word of three letters, one more every three.
fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let folded = fold(word);
    let allowed = (folded.chars().count() / 3).min(4);
    let mut nearest = Vec::new();
    let mut least = allowed;
    for candidate in candidates {
        let distance = strsim::damerau_levenshtein(&folded, &fold(candidate));
        if distance < least {
            nearest.clear();
            least = distance;
        }
        if distance == least {
            nearest.push(candidate);
        }
    }
    nearest
}

/// Case and separators do not change the meaning.
fn fold(word: &str) -> String {
    word.to_lowercase().replace(['-', '_', ' '], "")
}

/// `a`, `b` or `c`.
pub fn list<'a>(words: impl IntoIterator<Item = &'a str>, last: &str) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((end, start)) => format!("{} {last} {end}", start.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let keys = ["accumulation_steps", "amp", "loss_scale", "name", "data", "seed"];
        for (word, meant) in [
            ("acumulation_steps", Some("accumulation_steps")),
            ("accumulation-steps", Some("accumulation_steps")),
            ("AMP", Some("amp")),
            ("apm", Some("amp")),
            ("lossscale", Some("loss_scale")),
            ("nmae", Some("name")),
            ("dat", Some("data")),
            ("precision", None),
            ("x", None),
            ("", None),
            ("steps", None),
            ("date_of_birth", None),
        ] {
            assert_eq!(closest(word, keys), meant, "{word}");
        }
        let kinds = ["conv4", "resnet12", "resnet18", "resnet34"];
        let all = "did you mean `resnet12`, `resnet18` or `resnet34`?".to_owned();
        assert_eq!(super::meant("resnet", kinds), Some(all), "as near as each other");
        assert_eq!(super::meant("resnet_18", kinds), Some("did you mean `resnet18`?".into()));
    }
}
