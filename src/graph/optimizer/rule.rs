//! The update rules, value by value: PyTorch's, in the order of Burn's operations, so that their results are
//! equal to the bit.

use super::packed::Range;

/// An update rule and its constants.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019, algorithm 2).
    Adamw(Adaptive),
    /// Adam; weight decay is added to the gradient (Kingma and Ba, 2015).
    Adam(Adaptive),
    /// Stochastic gradient descent, with momentum or without.
    Sgd {
        /// Added to the gradient, times the weight.
        decay: f32,
        /// Share of the velocity that stays; without it there is no velocity.
        momentum: Option<f32>,
        /// Whether the step looks ahead along the new velocity.
        nesterov: bool,
    },
}

/// Constants of Adam and AdamW.
#[derive(Debug, Clone, Copy)]
pub struct Adaptive {
    /// Shares of the old moments that stay.
    pub betas: [f32; 2],
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Weight decay, 0 without it.
    pub decay: f32,
}

impl Rule {
    /// The moments that it keeps of a parameter.
    pub fn moments(&self) -> &'static [Range] {
        match self {
            Self::Adamw(_) | Self::Adam(_) => &[Range::Signed, Range::Squares],
            Self::Sgd { momentum: Some(_), .. } => &[Range::Signed],
            Self::Sgd { momentum: None, .. } => &[],
        }
    }

    /// The rule at a learning rate, in step `time`, counted from 1.
    pub fn at(self, rate: f64, time: usize) -> Step {
        Step { rule: self, rate, time }
    }
}

/// One step of a rule.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The update rule and its constants.
    pub rule: Rule,
    /// Learning rate of this step.
    pub rate: f64,
    /// Number of the step, from 1.
    pub time: usize,
}

impl Step {
    /// Updates values `x` with gradient `g`, and their moments; those that the rule does not have are
    /// not read.
    pub fn update(&self, x: &mut [f32], g: &[f32], first: &mut [f32], second: &mut [f32]) {
        let (rate, time) = (self.rate as f32, self.time as i32);
        let starts = self.time == 1;
        match self.rule {
            Rule::Adamw(Adaptive { betas: [b1, b2], eps, decay }) => {
                let kept = (1.0 - self.rate * f64::from(decay)) as f32;
                let [c1, c2] = [b1, b2].map(|beta| 1.0 - beta.powi(time));
                for (((x, g), m), v) in x.iter_mut().zip(g).zip(first).zip(second) {
                    (*m, *v) = averages([b1, b2], *g, [*m, *v], starts);
                    let delta = (*m / c1) / ((*v / c2).sqrt() + eps);
                    *x = *x * kept - delta * rate;
                }
            }
            Rule::Adam(Adaptive { betas: [b1, b2], eps, decay }) => {
                let root = (1.0 - b2.powi(time)).sqrt();
                let (factor, eps) = (root / (1.0 - b1.powi(time)), eps * root);
                for (((x, g), m), v) in x.iter_mut().zip(g).zip(first).zip(second) {
                    let g = if decay > 0.0 { *x * decay + *g } else { *g };
                    (*m, *v) = averages([b1, b2], g, [*m, *v], starts);
                    *x -= (*m * factor) / (v.sqrt() + eps) * rate;
                }
            }
            Rule::Sgd { decay, momentum, nesterov } => {
                let decayed = |x: f32, g: f32| if decay > 0.0 { x * decay + g } else { g };
                let Some(momentum) = momentum else {
                    x.iter_mut().zip(g).for_each(|(x, g)| *x -= decayed(*x, *g) * rate);
                    return;
                };
                for ((x, g), v) in x.iter_mut().zip(g).zip(first) {
                    let g = decayed(*x, *g);
                    *v = if starts { g } else { g + *v * momentum };
                    let along = if nesterov { *v * momentum + g } else { *v };
                    *x -= along * rate;
                }
            }
        }
    }
}

/// The mean of the gradients and of their squares after a step.
fn averages([b1, b2]: [f32; 2], g: f32, [m, v]: [f32; 2], starts: bool) -> (f32, f32) {
    let (m1, v1) = (g * (1.0 - b1), g * g * (1.0 - b2));
    if starts { (m1, v1) } else { (m * b1 + m1, v * b2 + v1) }
}
