//! The network of a checkpoint, for tests and predictions.

use burn::module::Module;
use burn::prelude::*;

use super::RunError;
use super::checkpoint::Checkpoint;
use crate::config::Pipeline;
use crate::model::init::Init;
use crate::model::{FewShotNet, Head};
use crate::plan;

/// The network of a checkpoint whose pipeline is `trained`, off the tape. Where `pipeline` has another head, which must
/// have no weights, that one takes the place of the trained head.
///
/// # Errors
/// When the weights do not fit.
pub fn restored(
    checkpoint: &Checkpoint,
    trained: &Pipeline,
    pipeline: &Pipeline,
    device: &Device,
) -> Result<FewShotNet, RunError> {
    let network = plan::network(trained);
    let net = FewShotNet::new(&network, trained.seed, &device.clone().autodiff());
    let mut net = checkpoint.load_model(net)?.valid();
    let head = plan::network(pipeline).head;
    if head != network.head && !pipeline.method.kind.has_weights() {
        let mut init = Init::new(trained.seed, device);
        let new = Head::new(&head, network.backbone.features(), network.episode, &mut init);
        net.head = new.with_scale_of(net.head);
    }
    Ok(net)
}
