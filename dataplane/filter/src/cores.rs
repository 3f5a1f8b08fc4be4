//! Which processors the workers get.

use photongate_dpdk::eal::CpuSet;

/// The processor of each of `count` workers: those `wanted`, or the last ones that this process may use.
pub(crate) fn choose(count: usize, wanted: Option<&[usize]>) -> Vec<usize> {
    if let Some(wanted) = wanted {
        return wanted.to_vec();
    }
    let usable: Vec<_> = CpuSet::usable().iter().collect();
    if count > usable.len() {
        tracing::warn!(workers = count, processors = usable.len(), "workers share processors, and take turns on them");
    }
    last(count, &usable)
}

/// The last `count` of `cpus`, or all of them several times over.
fn last(count: usize, cpus: &[usize]) -> Vec<usize> {
    let mut chosen: Vec<_> = cpus.iter().rev().cycle().take(count).copied().collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_get_the_last_processors_so_that_the_first_is_left_for_the_rest() {
        assert_eq!(last(2, &[0, 1, 2, 5]), [2, 5]);
    }

    #[test]
    fn more_workers_than_processors_share_them() {
        assert_eq!(last(3, &[0, 1]), [0, 1, 1]);
    }

    #[test]
    fn processors_that_are_asked_for_are_taken_as_they_are() {
        assert_eq!(choose(2, Some(&[7, 3])), [7, 3]);
    }
}
