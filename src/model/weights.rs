//! Reading and writing a network's tensors by path, in PyTorch's layout.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;

use super::layers::to_host;

/// A tensor by path, row-major, in PyTorch's layout: linear weights are `[out, in]`.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Path in the module, such as `backbone.blocks.0.conv.weight`.
    pub path: String,
    /// Dimensions of the tensor, in PyTorch's layout.
    pub shape: Vec<usize>,
    /// Values of the tensor, row by row.
    pub values: Vec<f32>,
}

/// Every tensor of a module, in the order of its fields.
pub fn read<M: Module>(module: &M) -> Vec<NamedTensor> {
    let mut reader = Reader::default();
    module.visit(&mut reader);
    reader.tensors
}

/// Path and shape of every tensor of a module, PyTorch's layout, in the order of its fields.
pub fn shapes<M: Module>(module: &M) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Shapes::default();
    module.visit(&mut shapes);
    shapes.found
}

/// Values of a tensor, by its path and shape, where they are known.
pub type Lookup<'a> = dyn FnMut(&str, &[usize]) -> Option<Vec<f32>> + 'a;

/// Replaces those tensors of a module that `lookup` knows by path and shape, PyTorch's layout.
pub fn write<M: Module>(module: M, lookup: &mut Lookup) -> M {
    module.map(&mut Writer { path: Path::default(), lookup })
}

/// Where a traversal stands.
#[derive(Default)]
pub struct Path {
    parts: Vec<(String, bool)>,
}

impl Path {
    /// Goes into a field.
    pub fn enter(&mut self, name: &str, container: &str) {
        self.parts.push((name.into(), container == "Struct:Linear"));
    }

    /// Leaves the field entered last.
    pub fn exit(&mut self) {
        self.parts.pop();
    }

    /// Dotted path of the tensor at hand.
    pub fn dotted(&self) -> String {
        self.parts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(".")
    }

    /// Whether the tensor at hand is stored transposed by PyTorch.
    pub fn is_transposed(&self) -> bool {
        matches!(self.parts.as_slice(), [.., (leaf, true)] if leaf == "weight")
    }
}

#[derive(Default)]
struct Reader {
    path: Path,
    tensors: Vec<NamedTensor>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut tensor = param.val().without_autodiff();
        if D == 2 && self.path.is_transposed() {
            tensor = tensor.swap_dims(0, 1);
        }
        self.tensors.push(NamedTensor {
            path: self.path.dotted(),
            shape: tensor.dims().to_vec(),
            values: to_host(tensor),
        });
    }
}

#[derive(Default)]
struct Shapes {
    path: Path,
    found: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut shape = param.val().dims().to_vec();
        if D == 2 && self.path.is_transposed() {
            shape.swap(0, 1);
        }
        self.found.push((self.path.dotted(), shape));
    }
}

struct Writer<'a> {
    path: Path,
    lookup: &'a mut Lookup<'a>,
}

impl ModuleMapper for Writer<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let transposed = D == 2 && self.path.is_transposed();
        let mut shape = param.val().dims();
        if transposed {
            shape.swap(0, 1);
        }
        let Some(values) = (self.lookup)(&self.path.dotted(), &shape) else {
            return param;
        };
        param.map(|old| {
            let trained = old.is_require_grad();
            let new = Tensor::<D>::from_data(TensorData::new(values, shape), &old.device());
            let new = if transposed { new.swap_dims(0, 1) } else { new };
            new.set_require_grad(trained)
        })
    }
}
