//! Warm-up: what the times of a process's iterations look like, after Barrett, Bolz-Tereick, Killick, Mount and
//! Tratt, *Virtual Machine Warmup Blows Hot and Cold*, OOPSLA 2017.
//!
//! Iteration times, without outliers, are cut into segments of constant mean and variance (change points by PELT:
//! Killick, Fearnhead, Eckley, 2012), and the segments compared with the last one:
//!
//! * *flat*: all of them are like the last;
//! * *warm-up*: some are slower, none is faster;
//! * *slowdown*: an earlier one is faster than the last;
//! * *no steady state*: there is a change in the last quarter.
//!
//! Segments are alike when their means differ by no more than their variances or by [`ALIKE`] of the last one's mean, whichever is more.
//! (The paper's bound of one millisecond suits iterations of about a second; ours take from a quarter of a millisecond.)

use serde::Serialize;

/// Means that differ by less than this share are one.
pub const ALIKE: f64 = 0.02;

/// What became of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Steady from the start.
    Flat,
    /// Slower at first.
    Warmup,
    /// Faster at first.
    Slowdown,
    /// Never steady.
    Unsteady,
}

impl Kind {
    /// As tables show it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Flat => "flat",
            Kind::Warmup => "warm-up",
            Kind::Slowdown => "slowdown",
            Kind::Unsteady => "no steady state",
        }
    }
}

/// A stretch of iterations that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Segment {
    /// One past its last iteration.
    pub end: usize,
    /// Mean time.
    pub mean: f64,
    /// Variance.
    pub variance: f64,
}

/// The kind, and the iteration from which the process was steady, if it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Class {
    /// The kind.
    pub kind: Kind,
    /// First steady iteration.
    pub steady_from: Option<usize>,
    /// Mean time of a steady iteration.
    pub steady: Option<f64>,
    /// The segments.
    pub segments: Vec<Segment>,
}

/// Classifies the times of iterations. `None` for fewer than eight.
pub fn classify(times: &[f64]) -> Option<Class> {
    if times.len() < 8 || times.iter().any(|t| !t.is_finite()) {
        return None;
    }
    let outliers = outliers(times, (times.len() / 10).max(10));
    let kept: Vec<usize> = (0..times.len()).filter(|i| !outliers[*i]).collect();
    let values: Vec<f64> = kept.iter().map(|i| times[*i]).collect();
    let mut start = 0;
    let mut segments = Vec::new();
    for end in change_points(&values) {
        let part = &values[start..end];
        let mean = part.iter().sum::<f64>() / part.len() as f64;
        let variance = part.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / part.len() as f64;
        segments.push(Segment { end: kept[end - 1] + 1, mean, variance });
        start = end;
    }
    Some(compare(segments, times.len()))
}

fn compare(segments: Vec<Segment>, count: usize) -> Class {
    let Some(last) = segments.last().copied() else {
        return Class { kind: Kind::Unsteady, steady_from: None, steady: None, segments };
    };
    let margin = last.variance.max(last.mean * ALIKE);
    let (low, high) = (last.mean - margin, last.mean + margin);
    let (mut kind, mut first, mut steady) = (Kind::Flat, segments.len() - 1, true);
    for (i, s) in segments.iter().enumerate().rev().skip(1) {
        if s.mean + s.variance >= low && s.mean - s.variance <= high {
            if steady {
                first = i;
            }
            continue;
        }
        steady = false;
        if s.end > count - count / 4 {
            return Class { kind: Kind::Unsteady, steady_from: None, steady: None, segments };
        }
        if s.mean < low {
            kind = Kind::Slowdown;
            break;
        }
        kind = Kind::Warmup;
    }
    let from = if first == 0 { 0 } else { segments[first - 1].end };
    let steady = segments[first..].iter().map(|s| s.mean).sum::<f64>() / (segments.len() - first) as f64;
    Class { kind, steady_from: Some(from), steady: Some(steady), segments }
}

/// Which times lie further than three times the distance of the tenth and ninetieth percentile from the median of the `window`
/// around them. The first window is never touched: warm-up lives there.
fn outliers(times: &[f64], window: usize) -> Vec<bool> {
    let half = window / 2;
    (0..times.len())
        .map(|i| {
            let (low, high) = (i.saturating_sub(half), (i + half).min(times.len()));
            if low == 0 && high < window {
                return false;
            }
            let mut near = times[low..high].to_vec();
            near.sort_by(f64::total_cmp);
            let at = |share: f64| near[((near.len() - 1) as f64 * share).round() as usize];
            (times[i] - at(0.5)).abs() > 3.0 * (at(0.9) - at(0.1))
        })
        .collect()
}

/// The ends of the segments, by PELT with the likelihood of normal distributions, a penalty of `15 ln n`, and segments of at least two.
fn change_points(values: &[f64]) -> Vec<usize> {
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    let (mut sums, mut squares) = (vec![0.0], vec![0.0]);
    for v in values {
        let v = v - mean;
        sums.push(sums[sums.len() - 1] + v);
        squares.push(squares[squares.len() - 1] + v * v);
    }
    // Times are quantised: what does not vary at all varies by less than the clock's grain.
    let least = (mean.abs() * 1e-6).powi(2).max(1e-30);
    let cost = |a: usize, b: usize| {
        let n = (b - a) as f64;
        let m = (sums[b] - sums[a]) / n;
        n * ((squares[b] - squares[a]) / n - m * m).max(least).ln()
    };
    let penalty = 15.0 * (n as f64).ln();
    // best[b]: the cost of the best cut of ..b, and where its last segment begins.
    let mut best = vec![(f64::INFINITY, 0); n + 1];
    best[0] = (-penalty, 0);
    let mut candidates = vec![0];
    for end in 2..=n {
        let price = |start: usize| best[start].0 + cost(start, end) + penalty;
        let least = candidates
            .iter()
            .filter(|s| end - **s >= 2)
            .map(|s| (price(*s), *s))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let Some(least) = least else { continue };
        candidates.retain(|s| end - s < 2 || price(*s) - penalty <= least.0);
        best[end] = least;
        candidates.push(end);
    }
    let (mut ends, mut at) = (Vec::new(), n);
    while at > 0 {
        ends.push(at);
        at = best[at].1;
    }
    ends.reverse();
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` times about `level`, with noise of one part in a thousand.
    fn about(level: f64, count: usize, seed: &mut u64) -> Vec<f64> {
        (0..count)
            .map(|_| {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                level * (1.0 + ((*seed >> 40) as f64 / (1u64 << 24) as f64 - 0.5) * 2e-3)
            })
            .collect()
    }

    fn class(parts: &[(f64, usize)]) -> Class {
        let mut seed = 42;
        let times: Vec<f64> = parts.iter().flat_map(|(level, n)| about(*level, *n, &mut seed)).collect();
        classify(&times).unwrap()
    }

    #[test]
    fn steady_from_the_start_is_flat() {
        let class = class(&[(0.01, 300)]);
        assert_eq!((class.kind, class.steady_from), (Kind::Flat, Some(0)));
        assert!((class.steady.unwrap() - 0.01).abs() < 1e-4);
    }

    #[test]
    fn slower_at_first_is_warm_up() {
        let class = class(&[(0.03, 20), (0.015, 30), (0.01, 250)]);
        assert_eq!((class.kind, class.steady_from), (Kind::Warmup, Some(50)));
        assert_eq!(class.segments.len(), 3);
    }

    #[test]
    fn faster_at_first_is_a_slowdown() {
        assert_eq!(class(&[(0.01, 100), (0.013, 200)]).kind, Kind::Slowdown);
    }

    #[test]
    fn a_change_near_the_end_is_no_steady_state() {
        assert_eq!(class(&[(0.01, 250), (0.02, 50)]).kind, Kind::Unsteady);
    }

    #[test]
    fn a_small_step_is_the_same() {
        assert_eq!(class(&[(0.0101, 100), (0.01, 200)]).kind, Kind::Flat);
    }

    #[test]
    fn one_disturbed_iteration_changes_nothing() {
        let mut seed = 7;
        let mut times = about(0.01, 300, &mut seed);
        times[150] = 0.5;
        assert_eq!(classify(&times).unwrap().kind, Kind::Flat);
    }

    #[test]
    fn equal_times_and_too_few_of_them() {
        assert_eq!(classify(&[0.5; 50]).unwrap().kind, Kind::Flat);
        assert_eq!(classify(&[0.5; 7]), None);
        assert_eq!(classify(&[f64::NAN; 50]), None);
    }
}
