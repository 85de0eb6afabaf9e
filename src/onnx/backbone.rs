//! Images → features, block by block.

use super::graph::{Element, Graph, Value, float, int, ints};
use crate::model::norm::EPSILON;
use crate::network::{
    BackboneSpec, BatchNormMode, Block, Conv, FETI_SIDE, Family, Pool, Rectifier, Segment,
    WideBlock,
};
use crate::weights::WeightsError;

/// Blocks, and the statistics that their norms use.
pub(super) struct Layers<'a, 'b> {
    pub graph: &'a mut Graph<'b>,
    pub mode: BatchNormMode,
}

impl Layers<'_, '_> {
    /// Features of `images`, of a convolutional backbone.
    pub fn features(&mut self, spec: &BackboneSpec, images: Value) -> Result<Value, WeightsError> {
        match spec.family() {
            Family::ResNet => self.resnet(spec, images),
            _ => self.chain(spec, images),
        }
    }

    fn chain(&mut self, spec: &BackboneSpec, images: Value) -> Result<Value, WeightsError> {
        let mut value = images;
        for (number, block) in spec.blocks().iter().enumerate() {
            value = self.block(&format!("backbone.blocks.{number}"), block, &value)?;
        }
        Ok(value)
    }

    fn resnet(&mut self, spec: &BackboneSpec, images: Value) -> Result<Value, WeightsError> {
        let mut value = images;
        for (group, range) in spec.segments(Segment::LayerGroup).into_iter().enumerate() {
            for (number, block) in spec.blocks()[range].iter().enumerate() {
                // The first group is the stem.
                let path = match group.checked_sub(1) {
                    None => "backbone.stem".to_owned(),
                    Some(group) => format!("backbone.stages.{group}.blocks.{number}"),
                };
                value = self.block(&path, block, &value)?;
            }
        }
        Ok(value)
    }

    pub fn block(
        &mut self,
        path: &str,
        block: &Block,
        input: &Value,
    ) -> Result<Value, WeightsError> {
        match block {
            Block::Plain(conv, norm) => {
                let output = self.conv(&format!("{path}.conv"), conv, input)?;
                let output = self.norm(&format!("{path}.norm"), &output)?;
                let output = self.graph.op("Relu", &[&output], Vec::new());
                Ok(match norm.pool {
                    Some(pool) => self.pool(pool, &output),
                    None => output,
                })
            }
            Block::Residual { chain: [first, second], shortcut } => {
                let hidden = self.conv(&format!("{path}.conv1"), &first.0, input)?;
                let hidden = self.norm(&format!("{path}.norm1"), &hidden)?;
                let hidden = self.graph.op("Relu", &[&hidden], Vec::new());
                let output = self.conv(&format!("{path}.conv2"), &second.0, &hidden)?;
                let output = self.norm(&format!("{path}.norm2"), &output)?;
                let beside = match shortcut {
                    Some((conv, _)) => {
                        let beside = self.conv(&format!("{path}.downsample.conv"), conv, input)?;
                        self.norm(&format!("{path}.downsample.norm"), &beside)?
                    }
                    None => input.clone(),
                };
                let sum = self.graph.add(&output, &beside);
                Ok(self.graph.op("Relu", &[&sum], Vec::new()))
            }
            Block::Wide(block) => self.wide(path, block, input),
            Block::Patches(_) | Block::Transformer(_) | Block::Class(_) => {
                panic!("a convolutional backbone has no tokens")
            }
            Block::Average { input: [_, height, width], .. } => {
                // ONNX has no adaptive pool. An average is linear: a product with a matrix each way.
                let down = self.graph.floats(&[FETI_SIDE, *height], &averages(*height));
                let across = self.graph.floats(&[FETI_SIDE, *width], &averages(*width));
                let across = self.graph.transpose(&across, &[1, 0]);
                let rows = self.graph.product(&down, input);
                Ok(self.graph.product(&rows, &across))
            }
        }
    }

    fn wide(
        &mut self,
        path: &str,
        block: &WideBlock,
        input: &Value,
    ) -> Result<Value, WeightsError> {
        let mut value = input.clone();
        for (number, (conv, _)) in (1..).zip(&block.chain) {
            value = self.conv(&format!("{path}.conv{number}"), conv, &value)?;
            value = self.norm(&format!("{path}.norm{number}"), &value)?;
            // The last one is rectified with the shortcut.
            if number < block.chain.len() {
                value = self.leaky(&value);
            }
        }
        let beside = self.conv(&format!("{path}.downsample.conv"), &block.shortcut.0, input)?;
        let beside = self.norm(&format!("{path}.downsample.norm"), &beside)?;
        let sum = self.graph.add(&value, &beside);
        let sum = self.leaky(&sum);
        Ok(self.pool(Pool::Two, &sum))
    }

    fn leaky(&mut self, input: &Value) -> Value {
        let slope = float("alpha", f64::from(Rectifier::LEAK));
        self.graph.op("LeakyRelu", &[input], vec![slope])
    }

    pub fn conv(&mut self, path: &str, conv: &Conv, input: &Value) -> Result<Value, WeightsError> {
        let weight = self.graph.weight(&format!("{path}.weight"))?;
        let bias = match conv.bias {
            true => Some(self.graph.weight(&format!("{path}.bias"))?),
            false => None,
        };
        let inputs: Vec<&Value> = [input, &weight].into_iter().chain(&bias).collect();
        let attributes = vec![
            ints("kernel_shape", &[conv.kernel as i64; 2]),
            ints("strides", &[conv.stride as i64; 2]),
            ints("pads", &[conv.padding as i64; 4]),
        ];
        Ok(self.graph.op("Conv", &inputs, attributes))
    }

    fn norm(&mut self, path: &str, input: &Value) -> Result<Value, WeightsError> {
        let gamma = self.graph.weight(&format!("{path}.gamma"))?;
        let beta = self.graph.weight(&format!("{path}.beta"))?;
        match self.mode {
            BatchNormMode::Running | BatchNormMode::Frozen => {
                let mean = self.graph.weight(&format!("{path}.running_mean"))?;
                let variance = self.graph.weight(&format!("{path}.running_var"))?;
                let inputs = [input, &gamma, &beta, &mean, &variance];
                Ok(self.graph.op("BatchNormalization", &inputs, vec![float("epsilon", EPSILON)]))
            }
            BatchNormMode::Episode => Ok(self.norm_of_batch(input, &gamma, &beta)),
        }
    }

    /// By the moments of the images that are embedded together.
    fn norm_of_batch(&mut self, input: &Value, gamma: &Value, beta: &Value) -> Value {
        let graph = &mut *self.graph;
        let axes = [0, 2, 3];
        let mean = graph.mean(input, &axes, true);
        let centred = graph.sub(input, &mean);
        let squares = graph.mul(&centred, &centred);
        let variance = graph.mean(&squares, &axes, true);
        let epsilon = graph.scalar(Element::Single, EPSILON);
        let variance = graph.add(&variance, &epsilon);
        let deviation = graph.op("Sqrt", &[&variance], Vec::new());
        let unit = graph.div(&centred, &deviation);
        // `[channels]` → `[channels, 1, 1]`
        let gamma = graph.reshape(gamma, &[-1, 1, 1]);
        let beta = graph.reshape(beta, &[-1, 1, 1]);
        let scaled = graph.mul(&unit, &gamma);
        graph.add(&scaled, &beta)
    }

    fn pool(&mut self, pool: Pool, input: &Value) -> Value {
        let (side, padding) = match pool {
            Pool::Two => (2, 0),
            Pool::Three => (3, 1),
        };
        let attributes = vec![
            ints("kernel_shape", &[side; 2]),
            ints("strides", &[2; 2]),
            ints("pads", &[padding; 4]),
            int("ceil_mode", 0),
        ];
        self.graph.op("MaxPool", &[input], attributes)
    }
}

/// `[FETI_SIDE, side]`: each row averages the pixels of one bin, as PyTorch's adaptive pool divides them.
fn averages(side: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; FETI_SIDE * side];
    for bin in 0..FETI_SIDE {
        let (start, end) = (bin * side / FETI_SIDE, ((bin + 1) * side).div_ceil(FETI_SIDE));
        matrix[bin * side + start..bin * side + end].fill(1.0 / (end - start) as f32);
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bins_of_an_average_are_pytorchs() {
        let rows =
            |side: usize| averages(side).chunks(side).map(<[f32]>::to_vec).collect::<Vec<_>>();
        // Fewer pixels than bins: some are read twice.
        assert_eq!(rows(1), vec![vec![1.0]; FETI_SIDE]);
        let wide = rows(10);
        assert_eq!(wide[0][..3], [0.5, 0.5, 0.0]);
        assert_eq!(wide[1][..4], [0.0, 0.5, 0.5, 0.0]);
        assert_eq!(wide[6][7..], [0.0, 0.5, 0.5]);
        assert!(wide.iter().all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
    }
}
