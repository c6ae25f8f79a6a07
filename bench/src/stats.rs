//! The arithmetic of the tables: medians, geometric means, spreads, slopes.
//!
//! Everything here takes plain numbers and returns `None` where a figure would have no
//! meaning (no samples, a slope that noise has turned negative), so that a table shows
//! a gap rather than a wrong number.

/// The median of `values`; the mean of the middle two when their number is even.
/// `None` for an empty slice or when a value is not a number.
pub fn median(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|v| v.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    Some(if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 })
}

/// The geometric mean of positive numbers. `None` when there are none, or when one is
/// not positive and finite.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|v| !v.is_finite() || *v <= 0.0) {
        return None;
    }
    Some((values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp())
}

/// Largest over smallest: 1.00 is a perfectly quiet machine.
pub fn spread(values: &[f64]) -> Option<f64> {
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    ratio(largest, smallest)
}

/// `value / base`, when both are positive and finite.
pub fn ratio(value: f64, base: f64) -> Option<f64> {
    (value.is_finite() && base.is_finite() && value > 0.0 && base > 0.0).then(|| value / base)
}

/// The cost of one unit of work, free of start-up: the slope between the medians of a
/// short and a long run. `None` when the sizes are not in order or the long runs did not
/// take longer than the short ones.
pub fn slope(part: (&[f64], u64), full: (&[f64], u64)) -> Option<f64> {
    let rise = median(full.0)? - median(part.0)?;
    let units = full.1.checked_sub(part.1).filter(|n| *n > 0)?;
    (rise > 0.0).then(|| rise / units as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Option<f64>, b: f64) {
        let a = a.expect("a figure");
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn median_of_odd_even_and_none() {
        close(median(&[3.0, 1.0, 2.0]), 2.0);
        close(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        close(median(&[7.5]), 7.5);
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn median_ignores_one_disturbed_run() {
        close(median(&[1.0, 1.01, 55.0, 0.99, 1.02]), 1.01);
    }

    #[test]
    fn geometric_mean_is_symmetric_in_ratios() {
        close(geometric_mean(&[2.0, 0.5]), 1.0);
        close(geometric_mean(&[1.0, 10.0, 100.0]), 10.0);
        close(geometric_mean(&[1.3]), 1.3);
        assert_eq!(geometric_mean(&[]), None);
        assert_eq!(geometric_mean(&[1.0, 0.0]), None);
        assert_eq!(geometric_mean(&[1.0, -2.0]), None);
        assert_eq!(geometric_mean(&[1.0, f64::INFINITY]), None);
    }

    #[test]
    fn spread_is_largest_over_smallest() {
        close(spread(&[2.0, 3.0, 2.5]), 1.5);
        close(spread(&[2.0]), 1.0);
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[0.0, 1.0]), None);
    }

    #[test]
    fn ratio_needs_positive_numbers() {
        close(ratio(3.0, 2.0), 1.5);
        assert_eq!(ratio(3.0, 0.0), None);
        assert_eq!(ratio(f64::NAN, 1.0), None);
        assert_eq!(ratio(0.0, 1.0), None);
    }

    #[test]
    fn slope_drops_what_both_sizes_pay() {
        // 15 ms of start-up, 2 ms for each unit
        let part = [0.035, 0.036, 0.035];
        let full = [0.095, 0.095, 0.099];
        close(slope((&part, 10), (&full, 40)), 0.002);
    }

    #[test]
    fn slope_refuses_noise() {
        assert_eq!(slope((&[0.2], 10), (&[0.1], 40)), None);
        assert_eq!(slope((&[0.1], 40), (&[0.2], 40)), None);
        assert_eq!(slope((&[0.1], 50), (&[0.2], 40)), None);
        assert_eq!(slope((&[], 10), (&[0.2], 40)), None);
    }
}
