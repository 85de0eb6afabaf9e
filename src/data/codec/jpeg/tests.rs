//! Our decoder against the library's, on JPEGs that the library writes.

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::mem::MaybeUninit;
use std::ops::Range;

use mozjpeg_sys::*;
use proptest::prelude::*;

use super::super::raster::PIXEL;
use super::baseline::Baseline;
use super::library;

/// How an image is written.
#[derive(Debug, Clone)]
struct Written {
    width: usize,
    height: usize,
    /// Pixels of luma to one of chroma, across and down; none is grey.
    sampling: Option<(u8, u8)>,
    quality: u8,
    /// MCUs between restart markers; 0 for none.
    restart_interval: u32,
    /// Codes made for the image.
    has_own_codes: bool,
    is_progressive: bool,
    /// From a flat image to noise.
    contrast: u8,
    seed: u64,
}

fn written() -> impl Strategy<Value = Written> {
    let sampling = prop_oneof![
        1 => Just(None),
        1 => Just(Some((1, 1))),
        1 => Just(Some((2, 1))),
        4 => Just(Some((2, 2))),
    ];
    let restart_interval = prop_oneof![3 => Just(0u32), 1 => 1u32..9];
    let size = (1usize..90, 1usize..90);
    (size, sampling, 1u8..=100, restart_interval, any::<(bool, u8, u64)>()).prop_map(
        |((width, height), sampling, quality, restart_interval, (has_own_codes, contrast, seed))| {
            let is_progressive = false;
            #[rustfmt::skip]
            let it = Written { width, height, sampling, quality, restart_interval, has_own_codes, is_progressive, contrast, seed };
            it
        },
    )
}

unsafe extern "C" {
    fn free(memory: *mut c_void);
}

impl Written {
    /// Slopes and noise of many contrasts, a few values beyond black and white.
    fn pixels(&self) -> Vec<u8> {
        let mut state = self.seed | 1;
        let mut noise = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as i32 % 256 - 128
        };
        let contrast = i32::from(self.contrast);
        let mut pixels = Vec::new();
        for y in 0..self.height as i32 {
            for x in 0..self.width as i32 {
                let slope = [x * 3 + y, 255 - x * 2, y * 4 - x];
                pixels.extend(slope.map(|it| (it + noise() * contrast / 64).clamp(0, 255) as u8));
            }
        }
        pixels
    }

    fn file(&self) -> Vec<u8> {
        let pixels = self.pixels();
        // SAFETY: the structures are filled in by the library before it reads them, calls are made in
        // its order, rows have the width that was set, and its buffer is copied and freed once.
        unsafe {
            let mut errors: jpeg_error_mgr = MaybeUninit::zeroed().assume_init();
            let mut info: jpeg_compress_struct = MaybeUninit::zeroed().assume_init();
            jpeg_std_error(&mut errors);
            info.common.err = &mut errors;
            let size = size_of::<jpeg_compress_struct>();
            jpeg_CreateCompress(&mut info, JPEG_LIB_VERSION as c_int, size);
            let (mut buffer, mut length): (*mut u8, c_ulong) = (std::ptr::null_mut(), 0);
            jpeg_mem_dest(&mut info, &mut buffer, &mut length);
            info.image_width = self.width as c_uint;
            info.image_height = self.height as c_uint;
            info.input_components = 3;
            info.in_color_space = J_COLOR_SPACE::JCS_RGB;
            let profile = JINT_COMPRESS_PROFILE_VALUE::JCP_FASTEST as c_int;
            jpeg_c_set_int_param(&mut info, J_INT_PARAM::JINT_COMPRESS_PROFILE, profile);
            jpeg_set_defaults(&mut info);
            jpeg_set_quality(&mut info, c_int::from(self.quality), 1);
            match self.sampling {
                None => jpeg_set_colorspace(&mut info, J_COLOR_SPACE::JCS_GRAYSCALE),
                Some((across, down)) => {
                    (*info.comp_info).h_samp_factor = c_int::from(across);
                    (*info.comp_info).v_samp_factor = c_int::from(down);
                }
            }
            info.restart_interval = self.restart_interval;
            info.optimize_coding = self.has_own_codes.into();
            if self.is_progressive {
                jpeg_simple_progression(&mut info);
            }
            jpeg_start_compress(&mut info, 1);
            for row in pixels.chunks_exact(3 * self.width) {
                let row = row.as_ptr();
                jpeg_write_scanlines(&mut info, &row, 1);
            }
            jpeg_finish_compress(&mut info);
            let file = std::slice::from_raw_parts(buffer, length as usize).to_vec();
            jpeg_destroy_compress(&mut info);
            free(buffer.cast());
            file
        }
    }

    /// A part of it.
    fn region(&self, cut: [f64; 4]) -> (Range<usize>, Range<usize>) {
        let part = |side: usize, a: f64, b: f64| {
            let start = ((side as f64 * a) as usize).min(side - 1);
            start..(start + 1 + ((side - start) as f64 * b) as usize).min(side)
        };
        (part(self.width, cut[0], cut[1]), part(self.height, cut[2], cut[3]))
    }
}

/// The rows that a decoder gives, without the bytes that mean nothing.
fn rows(decode: impl FnOnce(&mut dyn FnMut(usize, &[u8]))) -> Vec<(usize, Vec<u8>)> {
    let mut rows = Vec::new();
    decode(&mut |y, row| {
        rows.push((y, row.chunks_exact(PIXEL).flat_map(|it| &it[..3]).copied().collect()));
    });
    rows
}

type Region = (Range<usize>, Range<usize>);

/// Our rows of a region, where our decoder takes the file; on any processor the same.
fn ours(file: &[u8], (columns, lines): Region) -> Option<Vec<(usize, Vec<u8>)>> {
    let image = Baseline::open(file)?;
    let (mut is_whole, mut is_plain_whole) = (None, None);
    let wide = rows(|row| is_whole = image.region(file, columns.clone(), lines.clone(), row));
    let plain = rows(|row| is_plain_whole = image.region_plain(file, columns, lines, row));
    assert_eq!(is_whole, is_plain_whole, "in other registers");
    assert!(wide == plain, "other pixels in other registers");
    is_whole.map(|()| wide)
}

fn theirs(file: &[u8], (columns, lines): Region) -> Result<Vec<(usize, Vec<u8>)>, String> {
    let mut result = Ok(());
    let rows = rows(|row| result = library::region(file, columns, lines, row));
    result.map(|()| rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pixels_are_those_of_the_library(written in written(), cut: [f64; 4]) {
        let cut = cut.map(|it| it.abs().fract());
        let file = written.file();
        for region in [written.region(cut), (0..written.width, 0..written.height)] {
            let theirs = theirs(&file, region.clone()).expect("the library reads what it wrote");
            match ours(&file, region) {
                Some(ours) => prop_assert!(ours == theirs, "other pixels"),
                // Left to the library: chroma of two columns, and steps as large as values.
                None => prop_assert!(
                    written.quality < 10 || written.width <= 4 && written.sampling >= Some((2, 1))
                ),
            }
        }
    }

    /// What is damaged is left to the library, unless the pixels are what it makes of the damage.
    #[test]
    fn damage_is_never_decoded_otherwise(
        written in written(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut file = written.file();
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Some(end) = cut {
            file.truncate(end.index(file.len()));
        }
        let Some(image) = Baseline::open(&file) else { return Ok(()) };
        prop_assume!(image.width() * image.height() < 1 << 20);
        let size = library::size(&file);
        prop_assert_eq!(size.map(|it| (it.width, it.height)), Ok((image.width(), image.height())));
        let region = (0..image.width(), 0..image.height());
        if let Some(ours) = ours(&file, region.clone()) {
            match theirs(&file, region) {
                Ok(theirs) => prop_assert!(ours == theirs, "other pixels"),
                Err(error) => prop_assert!(false, "the library says: {}", error),
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let file = [&[0xff, 0xd8][..], &bytes].concat();
        if let Some(image) = Baseline::open(&file) {
            let _ = ours(&file, (0..image.width().min(64), 0..image.height().min(64)));
        }
    }
}

#[test]
fn a_progressive_file_is_left_to_the_library() {
    let written = Written {
        width: 70,
        height: 40,
        sampling: Some((2, 2)),
        quality: 90,
        restart_interval: 0,
        has_own_codes: true,
        is_progressive: true,
        contrast: 20,
        seed: 7,
    };
    let file = written.file();
    assert!(Baseline::open(&file).is_none());
    let image = super::Jpeg::open(&file).expect("the library reads it");
    let rows = rows(|row| image.region(0..70, 0..40, row).expect("and decodes it"));
    assert_eq!(rows.len(), 40);
}
