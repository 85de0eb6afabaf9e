//! Arithmetic on the gradients of a whole network.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;

use crate::model::layers::{scalars, sum_of_squares, to_f32};
use crate::model::weights::Path;

/// Gradients by parameter of a module.
#[derive(Debug, Default)]
pub struct Gradients(pub GradientsParams);

impl Gradients {
    /// Takes the gradients of `module`'s parameters from a finished backward pass, and adds them.
    pub fn take<M: Module>(&mut self, grads: &mut burn::tensor::Gradients, module: &M) {
        self.add(module, Self(GradientsParams::from_module(grads, module)));
    }

    /// Adds `other`. A parameter with a gradient in only one of the two keeps it.
    pub fn add<M: Module>(&mut self, module: &M, other: Self) {
        module.visit(&mut Add { sum: &mut self.0, other: other.0 });
    }

    /// Multiplies every gradient by a factor.
    pub fn scale<M: Module>(&mut self, module: &M, factor: f64) {
        if factor != 1.0 {
            module.visit(&mut Scale { grads: &mut self.0, factor });
        }
    }

    /// Casts every gradient to f32, the precision of the master weights.
    pub fn to_f32<M: Module>(&mut self, module: &M) {
        module.visit(&mut ToF32 { grads: &mut self.0 });
    }

    /// Calls `look` with each gradient, flat, and the path of its parameter in `module`.
    pub fn each<M: Module>(&self, module: &M, look: impl FnMut(String, Tensor<1>)) {
        module.visit(&mut Each { grads: &self.0, path: Path::default(), look });
    }

    /// Euclidean norm of all gradients together; not finite if any value is not.
    pub fn global_norm<M: Module>(&self, module: &M) -> f64 {
        let mut squares = Squares { grads: &self.0, sums: Vec::new() };
        module.visit(&mut squares);
        if squares.sums.is_empty() {
            return 0.0;
        }
        // One wait for all parameters.
        scalars(squares.sums).into_iter().map(f64::from).sum::<f64>().sqrt()
    }
}

struct Add<'a> {
    sum: &'a mut GradientsParams,
    other: GradientsParams,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let sum = match (self.sum.remove::<D>(param.id), self.other.remove::<D>(param.id)) {
            (Some(a), Some(b)) => a + b,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return,
        };
        self.sum.register(param.id, sum);
    }
}

struct Scale<'a> {
    grads: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, grad * self.factor);
        }
    }
}

struct ToF32<'a> {
    grads: &'a mut GradientsParams,
}

impl ModuleVisitor for ToF32<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.grads.register(param.id, to_f32(grad));
        }
    }
}

struct Each<'a, F> {
    grads: &'a GradientsParams,
    path: Path,
    look: F,
}

impl<F: FnMut(String, Tensor<1>)> ModuleVisitor for Each<'_, F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            let count = grad.dims().iter().product::<usize>();
            (self.look)(self.path.dotted(), grad.reshape([count]));
        }
    }
}

struct Squares<'a> {
    grads: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            self.sums.push(sum_of_squares(grad));
        }
    }
}
