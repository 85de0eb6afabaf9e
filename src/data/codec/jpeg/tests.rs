//! Regions against whole images, and damage, on JPEGs that the library writes.

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::mem::MaybeUninit;
use std::ops::Range;

use mozjpeg_sys::*;
use proptest::prelude::*;

use super::super::raster::PIXEL;
use super::Jpeg;

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
    (size, sampling, 1u8..=100, restart_interval, any::<(bool, bool, u8, u64)>()).prop_map(
        |((width, height), sampling, quality, restart_interval, (has_own_codes, is_progressive, contrast, seed))| {
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

/// Colours of a region, `[rows, columns, 3]`.
fn region(image: &Jpeg, columns: Range<usize>, rows: Range<usize>) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    let mut next = rows.start;
    image.region(columns, rows.clone(), &mut |y, row| {
        assert_eq!(y, next, "rows come in order");
        next += 1;
        found.push(row.chunks_exact(PIXEL).flat_map(|it| &it[..3]).copied().collect());
    })?;
    assert_eq!(next, rows.end, "all rows come");
    Ok(found)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Rows and columns that are not needed are skipped, and the others have the same pixels.
    #[test]
    fn a_region_has_the_pixels_of_the_whole_image(written in written(), cut: [f64; 4]) {
        let file = written.file();
        let image = Jpeg::open(&file).expect("the library reads what it wrote");
        prop_assert_eq!((image.size().width, image.size().height), (written.width, written.height));
        let whole = region(&image, 0..written.width, 0..written.height).expect("it is whole");
        let (columns, rows) = written.region(cut.map(|it| it.abs().fract()));
        let part = region(&image, columns.clone(), rows.clone()).expect("a part of it is");
        for (line, part) in whole[rows].iter().zip(&part) {
            prop_assert!(line[3 * columns.start..3 * columns.end] == part[..], "other pixels");
        }
    }

    /// Damage is an error or other pixels; never a panic.
    #[test]
    fn a_damaged_file_is_read_without_a_panic(
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
        let Ok(image) = Jpeg::open(&file) else { return Ok(()) };
        prop_assume!(image.size().width * image.size().height < 1 << 20);
        let _ = region(&image, 0..image.size().width, 0..image.size().height);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let file = [&[0xff, 0xd8][..], &bytes].concat();
        if let Ok(image) = Jpeg::open(&file) {
            let _ = region(&image, 0..image.size().width.min(64), 0..image.size().height.min(64));
        }
    }
}

#[test]
fn a_file_that_ends_in_its_data_is_an_error() {
    let written = Written {
        width: 70,
        height: 40,
        sampling: Some((2, 2)),
        quality: 90,
        restart_interval: 0,
        has_own_codes: true,
        is_progressive: false,
        contrast: 20,
        seed: 7,
    };
    let file = written.file();
    let image = Jpeg::open(&file[..file.len() / 2]).expect("its header is whole");
    assert!(region(&image, 0..70, 0..40).is_err());
}
