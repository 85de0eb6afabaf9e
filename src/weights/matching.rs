use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use glob::Pattern;

use super::{WeightsError, WeightsFile};
use crate::model::FewShotNet;
use crate::model::names::Naming;
use crate::model::weights::write;

/// Part of a network that is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The backbone; the head stays as it is.
    Backbone,
    /// The head; the backbone stays as it is.
    Head,
    /// Everything.
    Whole,
}

impl Scope {
    fn takes(self, path: &str) -> bool {
        match self {
            Self::Backbone => path.starts_with("backbone."),
            Self::Head => path.starts_with("head."),
            Self::Whole => true,
        }
    }

    /// What to do about weights that do not fit.
    fn help(self) -> &'static str {
        match self {
            Self::Backbone => {
                "use the weights of this very architecture, or name what may stay at its initial \
                 value in `backbone.weights.allow_missing`"
            }
            Self::Head | Self::Whole => {
                "describe the model of the file in the pipeline: backbone, method, widths, ways and \
                 shots; a backbone that the file does not have can come from `backbone.weights`"
            }
        }
    }
}

/// What to look for in a file.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Part of the network.
    pub scope: Scope,
    /// How its tensors may be named; the naming that knows most of the file's wins.
    pub namings: &'a [Naming],
    /// Names, or patterns with `*`, of tensors that may stay as they are.
    pub allow_missing: &'a [String],
}

/// Which tensors of a file are whose: nothing is read yet.
#[derive(Debug)]
pub struct Matching {
    file: WeightsFile,
    /// Our path → name in the file.
    pairs: BTreeMap<String, String>,
    /// What stands before each name in the file, such as `state_dict.module.resnet.`.
    pub prefix: String,
    /// Names of the file that found no tensor of ours.
    pub left: Vec<String>,
    /// Names that the file does not have, or has in another shape, and that may be missing.
    pub missing: Vec<String>,
}

impl Matching {
    /// Matches a file with the paths and shapes of a network.
    ///
    /// `tensors` come from [`shapes`](crate::model::weights::shapes) of a whole [`FewShotNet`].
    /// Every tensor that is not there, has another shape or holds no floating-point numbers is
    /// reported at once.
    pub fn new(
        file: WeightsFile,
        tensors: &[(String, Vec<usize>)],
        request: &Request,
    ) -> Result<Self, WeightsError> {
        let wanted: Vec<_> = tensors.iter().filter(|(path, _)| request.scope.takes(path)).collect();
        let Some((naming, prefix)) = recognise(&file, &wanted, request.namings) else {
            return Err(nothing_in_common(&file, &wanted, request));
        };

        let mut faults = Vec::new();
        let mut pairs = BTreeMap::new();
        let mut missing = Vec::new();
        let mut allowed = Allowed::new(&file, request.allow_missing)?;
        for (path, shape) in wanted {
            let Some(name) = naming.name(path) else {
                faults.push(format!("`{path}` has no name there"));
                continue;
            };
            let full = format!("{prefix}{name}");
            let fault = match file.shape(&full) {
                None => Some(format!("`{name}` is missing")),
                Some(found) if &found != shape => {
                    Some(format!("`{name}` is {found:?} and should be {shape:?}"))
                }
                Some(_) => file.wrong_type(&full).map(|it| {
                    format!("`{name}` holds {it} and should hold floating-point numbers")
                }),
            };
            let may_be_missing = allowed.takes(&name);
            match fault {
                None => drop(pairs.insert(path.clone(), full)),
                Some(_) if may_be_missing => missing.push(name),
                Some(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(WeightsError::Misfit {
                path: file.path().to_owned(),
                faults,
                help: request.scope.help().into(),
            });
        }
        allowed.all_used(&file)?;
        let taken: BTreeSet<&str> = pairs.values().map(String::as_str).collect();
        let left = file.names().filter(|name| !taken.contains(name)).map(str::to_owned).collect();
        Ok(Self { pairs, prefix, left, missing, file })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Tensors that the file has for the network.
    pub fn matched(&self) -> usize {
        self.pairs.len()
    }

    /// Reads the values and puts them into a network of the shapes that were matched.
    pub fn load(&self, net: FewShotNet) -> Result<FewShotNet, WeightsError> {
        let mut values = BTreeMap::new();
        for (path, name) in &self.pairs {
            values.insert(path.as_str(), self.file.values(name)?);
        }
        Ok(write(net, &mut |path, _| values.remove(path)))
    }
}

/// The naming and prefix under which the file has most of the tensors.
///
/// A prefix is whatever stands before a name, so `state_dict.`, `module.` of a parallel wrapper and
/// the like need no list. The shortest wins a tie: an averaged copy is usually kept deeper.
fn recognise(
    file: &WeightsFile,
    wanted: &[&(String, Vec<usize>)],
    namings: &[Naming],
) -> Option<(Naming, String)> {
    let mut best: Option<(usize, Naming, String)> = None;
    for naming in namings {
        let expected: BTreeSet<String> =
            wanted.iter().filter_map(|(path, _)| naming.name(path)).collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for name in file.names() {
            // Every place where a name could begin: the start, and after each dot.
            let starts = name.match_indices('.').map(|(dot, _)| dot + 1);
            for start in std::iter::once(0).chain(starts) {
                if expected.contains(&name[start..]) {
                    *votes.entry(&name[..start]).or_default() += 1;
                }
            }
        }
        for (prefix, count) in votes {
            let better = best.as_ref().is_none_or(|(most, _, shortest)| {
                count > *most || (count == *most && prefix.len() < shortest.len())
            });
            if better {
                best = Some((count, *naming, prefix.to_owned()));
            }
        }
    }
    best.map(|(_, naming, prefix)| (naming, prefix))
}

fn nothing_in_common(
    file: &WeightsFile,
    wanted: &[&(String, Vec<usize>)],
    request: &Request,
) -> WeightsError {
    let has: Vec<String> = file.names().take(3).map(|name| format!("`{name}`")).collect();
    let sought = request
        .namings
        .iter()
        .filter_map(|naming| wanted.iter().find_map(|(path, _)| naming.name(path)))
        .map(|name| format!("`{name}`"))
        .collect::<BTreeSet<_>>();
    let sought: Vec<String> = sought.into_iter().collect();
    WeightsError::Misfit {
        path: file.path().to_owned(),
        faults: vec![format!(
            "it names none of the network's tensors: it has {}, and {} was looked for",
            has.join(", "),
            sought.join(" or ")
        )],
        help: match request.scope {
            Scope::Backbone => {
                "check `backbone.kind`, `backbone.trunk` and `backbone.weights.from`"
            }
            scope => scope.help(),
        }
        .into(),
    }
}

/// The patterns of `allow_missing`, and whether each was of use.
struct Allowed<'a> {
    patterns: Vec<(&'a str, Pattern, bool)>,
}

impl<'a> Allowed<'a> {
    fn new(file: &WeightsFile, patterns: &'a [String]) -> Result<Self, WeightsError> {
        let patterns = patterns
            .iter()
            .map(|text| match Pattern::new(text) {
                Ok(pattern) => Ok((text.as_str(), pattern, false)),
                Err(error) => Err(WeightsError::Misfit {
                    path: file.path().to_owned(),
                    faults: vec![format!(
                        "`backbone.weights.allow_missing: {text}` is no pattern: {}",
                        error.msg
                    )],
                    help: "write a tensor's name, with `*` for any part of it".into(),
                }),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    fn takes(&mut self, name: &str) -> bool {
        let mut any = false;
        for (_, pattern, used) in &mut self.patterns {
            if pattern.matches(name) {
                *used = true;
                any = true;
            }
        }
        any
    }

    /// A pattern that names no tensor is a slip.
    fn all_used(&self, file: &WeightsFile) -> Result<(), WeightsError> {
        let Some((text, ..)) = self.patterns.iter().find(|(.., used)| !used) else {
            return Ok(());
        };
        Err(WeightsError::Misfit {
            path: file.path().to_owned(),
            faults: vec![format!(
                "`backbone.weights.allow_missing: {text}` names no tensor of the network"
            )],
            help: "write a name as the file has it, such as `layer4.*`, or remove it".into(),
        })
    }
}
