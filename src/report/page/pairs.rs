//! The paired test of runs that kept their answers.

use crate::run::compare::{Answers, Comparison, compare_all, compare_with};

/// Up to so many runs all pairs are compared, beyond it each with the best.
const ALL_PAIRS: usize = 6;

/// The answers of a run as a comparison takes them. `None` where the digest of its episodes is damaged.
pub(super) fn answers(name: &str, asked: &str, right: &[String]) -> Option<Answers> {
    let right = right.iter().map(|line| line.bytes().map(|it| it == b'1').collect()).collect();
    // Digests that differ anywhere are different episodes.
    let asked = u64::from_str_radix(asked, 16).ok()?;
    Some(Answers { name: name.to_owned(), right, asked })
}

/// Rows of the paired test of runs, the most accurate first, and a sentence on what is compared.
pub(super) fn pairs(ranked: &[Answers]) -> (Vec<[String; 6]>, String) {
    if ranked.len() < 2 {
        return (Vec::new(), "Fewer than two of the runs kept their answers to the test.".into());
    }
    let all_pairs = ranked.len() <= ALL_PAIRS;
    let compared = match all_pairs {
        true => compare_all(ranked),
        false => compare_with(&ranked[0], &ranked[1..]),
    };
    match compared {
        Ok(all) => {
            let which = match all_pairs {
                true => "Every pair of runs".to_owned(),
                false => format!("Each run and the most accurate one, {},", ranked[0].name),
            };
            let note = format!("{which} on the same {} test episodes.", ranked[0].right.len());
            (all.iter().map(row).collect(), note)
        }
        Err(unlike) => {
            let note = format!(
                "{} and {} were not tested on the same episodes ({}), so that their answers cannot be paired. \
                 “fsct compare” tests runs on the same ones.",
                unlike.a, unlike.b, unlike.reason
            );
            (Vec::new(), note)
        }
    }
}

fn row(comparison: &Comparison) -> [String; 6] {
    let signed = |value: f64| format!("{:+.2}", 100.0 * value);
    let [low, high] = comparison.bootstrap95;
    let p = |p: f64| if p < 1e-3 { format!("{p:.1e}") } else { format!("{p:.3}") };
    [
        format!("{} against {}", comparison.b, comparison.a),
        format!("{} ± {:.2} %", signed(comparison.difference), 100.0 * comparison.ci95),
        format!("{} to {} %", signed(low), signed(high)),
        p(comparison.mcnemar_p),
        comparison.holm_p.map_or("–".into(), p),
        format!("{} / {}", comparison.only[1], comparison.only[0]),
    ]
}
