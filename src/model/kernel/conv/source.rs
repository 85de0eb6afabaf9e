//! Where the gradient of the weights reads the input.

use std::marker::PhantomData;
use std::ops::Range;

use burn_flex::FlexTensor;

use super::geometry::Geometry;
use super::reads::View;
use crate::model::kernel::buffer::{slice, values};
use crate::model::kernel::element::Element;
use crate::model::kernel::kept::Kept;

/// The input of a convolution that computes in `T`, in whatever type it is.
pub trait Source<T>: Sync {
    /// The type of the values that are read.
    type Value: Element;
    /// What a thread keeps from one tile to the next.
    type Memory: Default;

    /// All values, if they are as they were computed.
    fn whole(&self) -> Option<&[T]>;

    /// What these pixels of the output read, of some channels.
    fn view<'a>(
        &'a self,
        geometry: &Geometry,
        channels: Range<usize>,
        pixels: Range<usize>,
        memory: &'a mut Self::Memory,
    ) -> View<'a, Self::Value>;
}

/// An input as it was computed.
pub struct Dense<T>(FlexTensor, PhantomData<T>);

impl<T: burn::tensor::Element> Dense<T> {
    /// The tensor with its values in row-major order.
    pub fn new(input: FlexTensor) -> Self {
        Self(values::<T>(input), PhantomData)
    }
}

impl<T: Element + burn::tensor::Element> Source<T> for Dense<T> {
    type Value = T;
    type Memory = ();

    fn whole(&self) -> Option<&[T]> {
        Some(slice::<T>(&self.0))
    }

    fn view<'a>(
        &'a self,
        geometry: &Geometry,
        _channels: Range<usize>,
        _pixels: Range<usize>,
        (): &'a mut (),
    ) -> View<'a, T> {
        View::whole(geometry, slice::<T>(&self.0))
    }
}

impl<T> Source<T> for Kept {
    type Value = f32;
    type Memory = Window;

    fn whole(&self) -> Option<&[T]> {
        None
    }

    fn view<'a>(
        &'a self,
        geometry: &Geometry,
        channels: Range<usize>,
        pixels: Range<usize>,
        window: &'a mut Window,
    ) -> View<'a, f32> {
        let plane = geometry.output_plane();
        let images = pixels.start / plane..(pixels.end - 1) / plane + 1;
        window.cover(self, images, channels);
        window.view()
    }
}

/// The images that a tile reads, of some channels, widened.
#[derive(Default)]
pub struct Window {
    images: Range<usize>,
    channels: Range<usize>,
    /// `[images, channels, H, W]`, the widened values.
    values: Vec<f32>,
    scratch: Vec<f32>,
}

impl Window {
    /// Moves on to these images; those that are there already are not widened again.
    fn cover(&mut self, kept: &Kept, images: Range<usize>, channels: Range<usize>) {
        let [_, all, height, width] = kept.shape();
        let plane = height * width;
        let image = channels.len() * plane;
        let stays = self.channels == channels && self.images.contains(&images.start);
        let stays = if stays { images.start..self.images.end.min(images.end) } else { 0..0 };
        if !stays.is_empty() {
            let from = (stays.start - self.images.start) * image;
            self.values.copy_within(from..from + stays.len() * image, 0);
        }
        self.values.resize(images.len() * image, 0.0);
        let fresh = (images.start + stays.len()..images.end)
            .flat_map(|image| channels.clone().map(move |channel| image * all + channel));
        let values = self.values[stays.len() * image..].chunks_mut(plane.max(1));
        for (wide, plane) in values.zip(fresh) {
            kept.widen(plane, wide, &mut self.scratch);
        }
        (self.images, self.channels) = (images, channels);
    }

    fn view(&self) -> View<'_, f32> {
        View {
            values: &self.values,
            channels: self.channels.len(),
            first: [self.images.start, self.channels.start],
        }
    }
}
