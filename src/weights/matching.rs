use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use glob::Pattern;

use super::positions::{self, Interpolation};
use super::recognise::{Recognised, of_a_deeper_network, recognise};
use super::request::Request;
use super::{WeightsError, WeightsFile};
use crate::model::FewShotNet;
use crate::model::weights::write;

/// Which tensors of a file are whose: nothing is read yet.
#[derive(Debug)]
pub struct Matching {
    file: WeightsFile,
    /// Our path → name in the file.
    pairs: BTreeMap<String, String>,
    /// How embeddings of positions become those of images of another size.
    interpolation: Interpolation,
    /// Prefix of each name in the file, such as `state_dict.module.resnet.`.
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
    /// Every tensor that is missing, has another shape or holds no floating-point numbers is reported
    /// at once, as are the blocks of a deeper network.
    pub fn new(
        file: WeightsFile,
        tensors: &[(String, Vec<usize>)],
        request: &Request,
    ) -> Result<Self, WeightsError> {
        let wanted: Vec<_> = tensors.iter().filter(|(path, _)| request.scope.takes(path)).collect();
        let Recognised { naming, prefix } = recognise(&file, &wanted, request)?;
        let interpolation = Interpolation::of(naming, wanted.iter().map(|(path, _)| path.as_str()));

        let mut problems = Vec::new();
        let mut pairs = BTreeMap::new();
        let mut missing = Vec::new();
        let mut expected = BTreeSet::new();
        let mut allowed = Allowed::new(&file, request.allow_missing)?;
        for (path, shape) in wanted {
            let Some(name) = naming.name(path) else {
                problems.push(format!("`{path}` has no name there"));
                continue;
            };
            let full = format!("{prefix}{name}");
            let problem = match file.shape(&full) {
                None => Some(format!("`{name}` is missing")),
                Some(found) if &found != shape && !positions::fits(path, &found, shape) => {
                    Some(format!("`{name}` is {found:?} and should be {shape:?}"))
                }
                Some(_) => file.wrong_type(&full).map(|it| {
                    format!("`{name}` holds {it} and should hold floating-point numbers")
                }),
            };
            let may_be_missing = allowed.takes(&name);
            expected.insert(name.clone());
            match problem {
                None => drop(pairs.insert(path.clone(), full)),
                Some(_) if may_be_missing => missing.push(name),
                Some(problem) => problems.push(problem),
            }
        }
        let mut help = request.scope.help();
        let deeper = of_a_deeper_network(file.names(), &prefix, &expected);
        if problems.is_empty()
            && !request.allow_deeper
            && let Some(first) = deeper.first()
        {
            help = "set `backbone.kind` to the network of the file, or use other weights";
            problems.push(match deeper.len() {
                1 => format!("it is of a deeper network, which has `{first}` too"),
                count => format!(
                    "it is of a deeper network, which has `{first}` and {} more tensors",
                    count - 1
                ),
            });
        }
        if !problems.is_empty() {
            return Err(WeightsError::Misfit {
                path: file.path().to_owned(),
                problems,
                help: help.into(),
            });
        }
        allowed.all_used(&file)?;
        let taken: BTreeSet<&str> = pairs.values().map(String::as_str).collect();
        let left = file.names().filter(|name| !taken.contains(name)).map(str::to_owned).collect();
        Ok(Self { pairs, interpolation, prefix, left, missing, file })
    }

    /// Path of the file of weights.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Tensors that the file has for the network.
    pub fn matched(&self) -> usize {
        self.pairs.len()
    }

    /// Reads every value that would be loaded.
    ///
    /// # Errors
    /// Names every tensor that is damaged or has a value that is not finite.
    pub fn check_values(&self) -> Result<(), WeightsError> {
        let problems: Vec<String> =
            self.pairs.values().filter_map(|name| self.file.value_fault(name)).collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(WeightsError::Misfit {
            path: self.file.path().to_owned(),
            problems,
            help: "the file is damaged, or of a training that diverged; use other weights".into(),
        })
    }

    /// Reads the values and puts them into a network of the shapes that were matched.
    pub fn load(&self, net: FewShotNet) -> Result<FewShotNet, WeightsError> {
        let mut values = BTreeMap::new();
        for (path, name) in &self.pairs {
            let shape = self.file.shape(name).unwrap_or_default();
            values.insert(path.as_str(), (self.file.values(name)?, shape));
        }
        Ok(write(net, &mut |path, wanted| {
            let (values, found) = values.remove(path)?;
            match positions::fits(path, &found, wanted) {
                true => Some(self.interpolation.interpolate(values, &found, wanted)),
                false => Some(values),
            }
        }))
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
                    problems: vec![format!(
                        "`backbone.weights.allow_missing: {text}` is not a pattern: {}",
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
            problems: vec![format!(
                "`backbone.weights.allow_missing: {text}` names no tensor of the network"
            )],
            help: "write a name as the file has it, such as `layer4.*`, or remove it".into(),
        })
    }
}
