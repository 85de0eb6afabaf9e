pub mod cube;

/// How a byte becomes a value, `byte · scale + shift`, by channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Factors of the channels.
    pub scale: [f32; 3],
    /// What is added to the channels.
    pub shift: [f32; 3],
}
