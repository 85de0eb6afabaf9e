//! How many candidates train for how many epochs (successive halving: Jamieson and Talwalkar, AISTATS
//! 2016; the words are those of Hyperband: Li et al., JMLR 2018).

use serde::{Deserialize, Serialize};

/// A step of successive halving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Candidates that take part in it.
    pub candidates: usize,
    /// Epochs that each of them has been trained for at its end, from the start of its run.
    pub epochs: usize,
}

/// The rungs of `budget` candidates, the last of which is trained for `epochs`. From rung to rung one of
/// `factor` candidates is kept, and trained for `factor` times the epochs.
pub fn rungs(budget: usize, factor: usize, epochs: usize) -> Vec<Rung> {
    let halvings = logarithm(budget, factor).min(logarithm(epochs, factor));
    let rung = |at: usize| {
        let power = |of: usize| factor.saturating_pow(u32::try_from(of).unwrap_or(u32::MAX));
        Rung { candidates: budget / power(at), epochs: epochs / power(halvings - at) }
    };
    (0..=halvings).map(rung).collect()
}

/// How often a number can be divided by a factor before it is below it.
fn logarithm(mut number: usize, factor: usize) -> usize {
    let mut times = 0;
    while factor > 1 && number >= factor {
        number /= factor;
        times += 1;
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(budget: usize, factor: usize, epochs: usize) -> Vec<(usize, usize)> {
        rungs(budget, factor, epochs).iter().map(|it| (it.candidates, it.epochs)).collect()
    }

    /// The bracket s = 4 of Hyperband's table 1 (R = 81, η = 3).
    #[test]
    fn the_rungs_are_those_of_the_paper() {
        assert_eq!(pairs(81, 3, 81), [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)]);
    }

    #[test]
    fn few_candidates_or_few_epochs_have_few_rungs() {
        assert_eq!(pairs(9, 3, 50), [(9, 5), (3, 16), (1, 50)]);
        assert_eq!(pairs(100, 3, 10), [(100, 1), (33, 3), (11, 10)]);
        assert_eq!(pairs(4, 2, 4), [(4, 1), (2, 2), (1, 4)]);
        assert_eq!(pairs(2, 3, 50), [(2, 50)]);
        assert_eq!(pairs(9, 3, 2), [(9, 2)]);
    }
}
