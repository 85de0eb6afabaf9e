//! "Did you mean": close enough to be a slip, never a guess.

/// The candidate that `word` is a slip of, if one is.
///
/// Two letters swapped, dropped, doubled or wrong are a slip; a third of the word is not. One edit
/// is allowed in a word of three letters, one more every three.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    let allowed = folded.chars().count() / 3;
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|&(distance, _)| distance <= allowed.min(4))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Case and separators are no difference in meaning.
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
    }
}
