use std::collections::BTreeSet;

use super::proto::{
    AttributeProto, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto, attribute_type, data_type,
};
use super::tensors::Tensors;
use crate::weights::WeightsError;

/// The name of a value in a graph.
pub(super) type Value = String;

/// A dimension of an input or an output.
pub(super) enum Dim {
    /// Always the same.
    Fixed(usize),
    /// Known when the graph runs; the same wherever the name is the same.
    Named(&'static str),
}

/// Element type of a constant or of a computation.
#[derive(Clone, Copy)]
pub(super) enum Element {
    Single,
    Double,
}

/// A graph under construction: each method adds a node and returns the value that it computes.
pub(super) struct Graph<'a> {
    tensors: &'a Tensors,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    names: BTreeSet<String>,
}

impl<'a> Graph<'a> {
    pub fn new(tensors: &'a Tensors) -> Self {
        Self { tensors, nodes: Vec::new(), initializers: Vec::new(), names: BTreeSet::new() }
    }

    /// The trained tensor with this path, in PyTorch's layout.
    pub fn weight(&mut self, path: &str) -> Result<Value, WeightsError> {
        let (name, tensor) = self.tensors.get(path)?;
        // A layer that is applied twice has its tensor once.
        if self.names.insert(name.clone()) {
            let raw_data = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.initializers.push(TensorProto {
                dims: tensor.shape.iter().map(|side| *side as i64).collect(),
                data_type: Some(data_type::FLOAT),
                name: name.clone(),
                raw_data,
            });
        }
        Ok(name)
    }

    pub fn floats(&mut self, dims: &[usize], values: &[f32]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(dims, data_type::FLOAT, bytes)
    }

    pub fn scalar(&mut self, element: Element, value: f64) -> Value {
        match element {
            Element::Single => self.floats(&[], &[value as f32]),
            Element::Double => self.constant(&[], data_type::DOUBLE, value.to_le_bytes().to_vec()),
        }
    }

    pub fn integers(&mut self, values: &[i64]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(&[values.len()], data_type::INT64, bytes)
    }

    fn constant(&mut self, dims: &[usize], data_type: i32, raw_data: Vec<u8>) -> Value {
        let name = format!("constant_{}", self.initializers.len());
        self.initializers.push(TensorProto {
            dims: dims.iter().map(|side| *side as i64).collect(),
            data_type: Some(data_type),
            name: name.clone(),
            raw_data,
        });
        name
    }

    /// Any operation with one output.
    pub fn op(&mut self, kind: &str, inputs: &[&Value], attribute: Vec<AttributeProto>) -> Value {
        let name = format!("{}_{}", kind.to_lowercase(), self.nodes.len());
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|input| (*input).clone()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: kind.to_owned(),
            attribute,
        });
        name
    }

    pub fn add(&mut self, left: &Value, right: &Value) -> Value {
        self.op("Add", &[left, right], Vec::new())
    }

    pub fn sub(&mut self, left: &Value, right: &Value) -> Value {
        self.op("Sub", &[left, right], Vec::new())
    }

    pub fn mul(&mut self, left: &Value, right: &Value) -> Value {
        self.op("Mul", &[left, right], Vec::new())
    }

    pub fn div(&mut self, left: &Value, right: &Value) -> Value {
        self.op("Div", &[left, right], Vec::new())
    }

    pub fn product(&mut self, left: &Value, right: &Value) -> Value {
        self.op("MatMul", &[left, right], Vec::new())
    }

    pub fn transpose(&mut self, input: &Value, order: &[i64]) -> Value {
        self.op("Transpose", &[input], vec![ints("perm", order)])
    }

    /// In `shape`, 0 keeps a dimension and −1 takes what is left.
    pub fn reshape(&mut self, input: &Value, shape: &[i64]) -> Value {
        let shape = self.integers(shape);
        self.op("Reshape", &[input, &shape], Vec::new())
    }

    /// Sum along one axis.
    pub fn sum(&mut self, input: &Value, axis: i64, keep: bool) -> Value {
        let axes = self.integers(&[axis]);
        self.op("ReduceSum", &[input, &axes], vec![int("keepdims", i64::from(keep))])
    }

    pub fn mean(&mut self, input: &Value, axes: &[i64], keep: bool) -> Value {
        self.op("ReduceMean", &[input], vec![ints("axes", axes), int("keepdims", i64::from(keep))])
    }

    /// The sum of squares along one axis, which stays as 1.
    pub fn squares(&mut self, input: &Value, axis: i64) -> Value {
        let squares = self.mul(input, input);
        self.sum(&squares, axis, true)
    }

    /// Length along one axis, which stays as 1; `epsilon` is added to it.
    pub fn norm(&mut self, input: &Value, axis: i64, epsilon: Option<f64>) -> Value {
        let squares = self.squares(input, axis);
        let norm = self.op("Sqrt", &[&squares], Vec::new());
        match epsilon {
            Some(epsilon) => {
                let epsilon = self.scalar(Element::Single, epsilon);
                self.add(&norm, &epsilon)
            }
            None => norm,
        }
    }

    /// A value times a number.
    pub fn scale(&mut self, input: &Value, element: Element, factor: f64) -> Value {
        let factor = self.scalar(element, factor);
        self.mul(input, &factor)
    }

    /// Dimensions `from..to` of a value, integers.
    pub fn dims(&mut self, input: &Value, from: i64, to: i64) -> Value {
        self.op("Shape", &[input], vec![int("start", from), int("end", to)])
    }

    pub fn cast(&mut self, input: &Value, element: Element) -> Value {
        let to = match element {
            Element::Single => data_type::FLOAT,
            Element::Double => data_type::DOUBLE,
        };
        self.op("Cast", &[input], vec![int("to", i64::from(to))])
    }

    /// A linear layer over the last dimension.
    pub fn linear(&mut self, path: &str, bias: bool, input: &Value) -> Result<Value, WeightsError> {
        let weight = self.weight(&format!("{path}.weight"))?;
        let weight = self.transpose(&weight, &[1, 0]);
        let output = self.product(input, &weight);
        if !bias {
            return Ok(output);
        }
        let bias = self.weight(&format!("{path}.bias"))?;
        Ok(self.add(&output, &bias))
    }

    /// A layer norm over the last dimension.
    pub fn layer_norm(
        &mut self,
        path: &str,
        epsilon: f64,
        input: &Value,
    ) -> Result<Value, WeightsError> {
        let gamma = self.weight(&format!("{path}.gamma"))?;
        let beta = self.weight(&format!("{path}.beta"))?;
        let attributes = vec![int("axis", -1), float("epsilon", epsilon)];
        Ok(self.op("LayerNormalization", &[input, &gamma, &beta], attributes))
    }

    /// GELU, exact: x/2 · (1 + erf(x/√2)). ONNX has it as an operator from version 20 on.
    pub fn gelu(&mut self, x: &Value) -> Value {
        let scaled = self.scale(x, Element::Single, 0.5f64.sqrt());
        let error = self.op("Erf", &[&scaled], Vec::new());
        let one = self.scalar(Element::Single, 1.0);
        let error = self.add(&error, &one);
        let half = self.scale(x, Element::Single, 0.5);
        self.mul(&half, &error)
    }

    /// The graph that computes `result` under the name of `output`.
    pub fn finish(
        mut self,
        name: &str,
        inputs: Vec<ValueInfoProto>,
        result: &Value,
        output: ValueInfoProto,
    ) -> GraphProto {
        for node in &mut self.nodes {
            let named = node.output.iter_mut().chain(&mut node.input).filter(|it| *it == result);
            named.for_each(|it| it.clone_from(&output.name));
        }
        GraphProto {
            node: self.nodes,
            name: name.to_owned(),
            initializer: self.initializers,
            input: inputs,
            output: vec![output],
        }
    }
}

/// Name and dimensions of an input or an output, f32.
pub(super) fn value(name: &str, dims: impl IntoIterator<Item = Dim>) -> ValueInfoProto {
    let dim = |dim| match dim {
        Dim::Fixed(side) => DimensionProto { dim_value: Some(side as i64), dim_param: None },
        Dim::Named(name) => DimensionProto { dim_value: None, dim_param: Some(name.to_owned()) },
    };
    let shape = TensorShapeProto { dim: dims.into_iter().map(dim).collect() };
    let tensor = TensorTypeProto { elem_type: Some(data_type::FLOAT), shape: Some(shape) };
    let r#type = Some(TypeProto { tensor_type: Some(tensor) });
    ValueInfoProto { name: name.to_owned(), r#type }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    let r#type = Some(attribute_type::INT);
    AttributeProto { name: name.to_owned(), i: Some(value), r#type, ..AttributeProto::default() }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let r#type = Some(attribute_type::INTS);
    let ints = values.to_vec();
    AttributeProto { name: name.to_owned(), ints, r#type, ..AttributeProto::default() }
}

pub(super) fn float(name: &str, value: f64) -> AttributeProto {
    let (f, r#type) = (Some(value as f32), Some(attribute_type::FLOAT));
    AttributeProto { name: name.to_owned(), f, r#type, ..AttributeProto::default() }
}
