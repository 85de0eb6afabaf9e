//! Products of matrices, sums of squares, and AdamW's update.

mod common;

use common::{Buffers, Precision, assert_near};
use fsct_kernels::model::kernel::cube::tile::Tile;
use fsct_kernels::model::kernel::{adamw, product, squares};
use product::cube::launch::{Layout, Sizes};

/// The values of a stack of `[rows, columns]` matrices, laid by rows or by columns.
fn by_columns(values: &[f64], rows: usize, columns: usize) -> Vec<f32> {
    let matrices = values.chunks(rows * columns);
    let turned = matrices.flat_map(|matrix| {
        (0..rows * columns).map(|at| matrix[at % rows * columns + at / rows] as f32)
    });
    turned.collect()
}

fn layout(rows: usize, columns: usize, turned: bool) -> Layout {
    let (row, column) = if turned { (1, rows) } else { (columns, 1) };
    Layout { matrix: rows * columns, row, column }
}

fn check(tile: Tile, sizes: Sizes, precision: Precision) {
    let Sizes { matrices, rows, depth, columns } = sizes;
    for turned in [[false, false], [false, true], [true, false], [true, true]] {
        let mut buffers = Buffers::new();
        let (mut left, left_values) = buffers.draw(matrices * rows * depth, precision);
        let (mut right, right_values) = buffers.draw(matrices * depth * columns, precision);
        if turned[0] {
            left = buffers.put(by_columns(&left_values, rows, depth), precision).0;
        }
        if turned[1] {
            right = buffers.put(by_columns(&right_values, depth, columns), precision).0;
        }
        let mut expected = vec![0.0; matrices * rows * columns];
        for (at, sum) in expected.iter_mut().enumerate() {
            let (column, row) = (at % columns, at / columns % rows);
            let matrix = at / columns / rows;
            for k in 0..depth {
                *sum += left_values[(matrix * rows + row) * depth + k]
                    * right_values[(matrix * depth + k) * columns + column];
            }
        }
        let out = buffers.empty(expected.len(), precision);
        product::cube::launch::product(
            &buffers.client,
            (&left, layout(rows, depth, turned[0])),
            (&right, layout(depth, columns, turned[1])),
            &out,
            sizes,
            product::cube::launch::By::Units(tile),
            precision.element(),
        );
        let actual = buffers.read(&out, expected.len(), precision);
        assert_near(&format!("{sizes:?} {turned:?}"), &actual, &expected, precision.bar());
    }
}

#[test]
fn products_of_stacks() {
    let one_unit = Tile { rows: 8, columns: 8, depth: 8, unit_rows: 8, unit_columns: 8 };
    let two_units = Tile { rows: 8, columns: 4, depth: 2, unit_rows: 4, unit_columns: 4 };
    for [matrices, rows, depth, columns] in
        [[1, 1, 1, 1], [1, 5, 300, 7], [3, 9, 20, 10], [2, 17, 33, 3], [1, 12, 1000, 9]]
    {
        for tile in [one_unit, two_units] {
            for precision in common::PRECISIONS {
                check(tile, Sizes { matrices, rows, depth, columns }, precision);
            }
        }
    }
}

#[test]
fn sums_of_squares() {
    for length in [1, 7, 1000, 30_000] {
        let mut buffers = Buffers::new();
        let (x, values) = buffers.draw(length, Precision::F32);
        let sum = squares::cube::launch::sum_of_squares(&buffers.client, &x, length);
        let expected = values.iter().map(|x| x * x).sum::<f64>();
        let actual = buffers.read(&sum, 1, Precision::F32);
        assert_near(&format!("{length}"), &actual, &[expected], Precision::F32.bar());
    }
}

#[test]
fn updates_of_adamw() {
    let factors = adamw::cube::launch::Factors {
        rate: 0.1,
        kept: 0.99,
        betas: [0.9, 0.999],
        corrections: [0.19, 0.002],
        epsilon: 1e-8,
    };
    for length in [1, 300, 5000] {
        let mut buffers = Buffers::new();
        let precision = Precision::F32;
        let (parameter, mut values) = buffers.draw(length, precision);
        let (gradient, gradients) = buffers.draw(length, precision);
        let (first, mut means) = buffers.draw(length, precision);
        let (_, mut squares) = buffers.draw(length, precision);
        squares.iter_mut().for_each(|value| *value = value.abs());
        let (second, mut squares) =
            buffers.put(squares.into_iter().map(|value| value as f32).collect(), precision);
        for at in 0..length {
            means[at] = 0.9 * means[at] + 0.1 * gradients[at];
            squares[at] = 0.999 * squares[at] + 0.001 * gradients[at].powi(2);
            let delta = means[at] / 0.19 / ((squares[at] / 0.002).sqrt() + 1e-8);
            values[at] = 0.99 * values[at] - 0.1 * delta;
        }
        adamw::cube::launch::adamw(
            &buffers.client,
            &parameter,
            &gradient,
            [&first, &second],
            length,
            factors,
        );
        for (what, handle, expected) in [
            ("parameter", &parameter, &values),
            ("mean", &first, &means),
            ("square", &second, &squares),
        ] {
            let actual = buffers.read(handle, length, precision);
            assert_near(&format!("{length}: {what}"), &actual, expected, precision.bar());
        }
    }
}
