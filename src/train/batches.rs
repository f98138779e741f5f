//! A walk through many images, as many at once as the device takes.

use crate::error::{Error, Result};

/// Images that are evaluated, encoded or decoded at once.
const BATCH: usize = 256;

/// The plans for a walk through images: for as many at once as the device takes, one kept for the next batch.
#[derive(Debug)]
pub(super) struct Batches<P> {
    size: usize,
    plan: Option<(usize, P)>,
}

impl<P> Default for Batches<P> {
    fn default() -> Self {
        Self {
            size: BATCH,
            plan: None,
        }
    }
}

impl<P> Batches<P> {
    /// The plan for the next of the `rest` that is left, which `make` makes, and how many it takes.
    pub(super) fn next(
        &mut self,
        rest: usize,
        make: impl Fn(usize) -> Result<P>,
    ) -> Result<(usize, &P)> {
        loop {
            let count = self.size.min(rest);
            let plan = match self.plan.take() {
                Some((size, plan)) if size == count => Ok(plan),
                _ => make(count),
            };
            match plan {
                Ok(plan) => {
                    let (count, plan) = self.plan.insert((count, plan));
                    return Ok((*count, plan));
                }
                Err(Error::Limit { .. }) if count > 1 => self.size = count.div_ceil(2),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that takes 100 images at once: 1000 of them are walked through in batches of 64.
    #[test]
    fn batches_are_as_large_as_the_device_takes() {
        let refuse = || Error::Limit {
            tensor: String::new(),
            bytes: 0,
            limit: "",
            allowed: 0,
        };
        let make = |count| (count <= 100).then_some(count).ok_or_else(refuse);
        let mut batches = Batches::default();
        let mut sizes = Vec::new();
        while sizes.iter().sum::<usize>() < 1000 {
            let rest = 1000 - sizes.iter().sum::<usize>();
            let (count, plan) = batches.next(rest, make).unwrap();
            assert_eq!(count, *plan);
            sizes.push(count);
        }
        assert_eq!(sizes, [[64; 15].as_slice(), &[40]].concat());
        let none = |_| Err::<usize, _>(refuse());
        assert!(Batches::default().next(10, none).is_err());
    }
}
