//! Embedding on the processor.

use crate::Device;

/// `out[t] = table[ids[t]]`.
pub(super) fn forward(device: &Device, ids: &[i32], table: &[f32], d: usize, out: &mut [f32]) {
    device.for_each_block(out, super::super::ROW_BLOCK * d, |index, block| {
        let ids = &ids[index * super::super::ROW_BLOCK..];
        for (row, &id) in block.chunks_exact_mut(d).zip(ids) {
            row.copy_from_slice(&table[id as usize * d..][..d]);
        }
    });
}

/// `table_grad[rows[t]] += grad[t]`, in the order of `t` for each row of the table.
pub(super) fn backward(device: &Device, rows: &[usize], grad: &[f32], d: usize, table_grad: &mut [f32]) {
    const TASKS: usize = 16;
    let n_rows = table_grad.len() / d;
    let rows_a_task = n_rows.div_ceil(TASKS).max(1);
    device.for_each_block(table_grad, rows_a_task * d, |index, block| {
        let first = index * rows_a_task;
        let own = first..first + block.len() / d;
        for (t, &row) in rows.iter().enumerate() {
            if own.contains(&row) {
                let out = &mut block[(row - first) * d..][..d];
                for (to, &from) in out.iter_mut().zip(&grad[t * d..]) {
                    *to += from;
                }
            }
        }
    });
}
