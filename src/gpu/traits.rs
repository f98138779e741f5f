//! Which kernel does the work: what is asked of an adapter, and the candidates of an operation.

/// What the choice of a kernel may depend on. Every candidate computes the same, up to rounding; an
/// adapter's traits say which is fast on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits {
    /// The arithmetic runs on a CPU: loads cost several multiply-adds, registers are no limit.
    pub software: bool,
    /// The least and the greatest number of invocations of a subgroup, where kernels can use subgroups.
    pub subgroups: Option<[u32; 2]>,
    /// Kernels can use 16-bit floats.
    pub f16: bool,
    /// Workgroups that keep the device busy.
    pub workgroups_wanted: u32,
    /// Candidates to take wherever they can do the work, whatever suits; for tests and the bench.
    pub forced: Vec<&'static str>,
}

impl Default for Traits {
    /// A GPU of which nothing more is known.
    fn default() -> Self {
        Self {
            software: false,
            subgroups: None,
            f16: false,
            workgroups_wanted: 512,
            forced: Vec::new(),
        }
    }
}

impl Traits {
    /// Whether a candidate finds what it needs.
    #[must_use]
    pub fn meet(&self, info: &CandidateInfo) -> bool {
        (!info.needs_subgroups || self.subgroups.is_some()) && (!info.needs_f16 || self.f16)
    }

    /// The first of `candidates` that is forced, else the first that suits, among those that can do the work.
    /// The last one of a table can do whatever its operation can be asked for.
    pub(crate) fn choose<S, W>(
        &self,
        candidates: &'static [Candidate<S, W>],
        shape: &S,
    ) -> &'static Candidate<S, W> {
        let can = |c: &&'static Candidate<S, W>| self.meet(&c.info) && (c.can)(shape);
        let forced = |c: &&Candidate<S, W>| self.forced.contains(&c.info.name);
        let mut able = candidates.iter().filter(can);
        able.clone()
            .find(forced)
            .or_else(|| able.find(|c| (c.suits)(self, shape)))
            .unwrap_or(&candidates[candidates.len() - 1])
    }
}

/// What is known of a candidate without a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CandidateInfo {
    /// `file::entry` of its kernel.
    pub name: &'static str,
    /// It uses subgroups.
    pub needs_subgroups: bool,
    /// It uses 16-bit floats.
    pub needs_f16: bool,
}

impl CandidateInfo {
    /// One that every adapter runs.
    pub(crate) const fn plain(name: &'static str) -> Self {
        Self {
            name,
            needs_subgroups: false,
            needs_f16: false,
        }
    }
}

/// One of the kernels that can do an operation's work, on shapes S, in a way W of recording it.
#[derive(Debug)]
pub(crate) struct Candidate<S: 'static, W: 'static> {
    pub(crate) info: CandidateInfo,
    /// Whether it can do the work of this shape.
    pub(crate) can: fn(&S) -> bool,
    /// Whether it is the one to take, if none before it in the table is.
    pub(crate) suits: fn(&Traits, &S) -> bool,
    pub(crate) way: W,
}

/// The infos of a table, for [`crate::kernels::candidates`].
macro_rules! infos {
    ($table:ident) => {
        pub(crate) fn candidates() -> Vec<$crate::gpu::CandidateInfo> {
            $table.iter().map(|c| c.info).collect()
        }
    };
}
pub(crate) use infos;

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: [Candidate<u32, u32>; 3] = [
        Candidate {
            info: CandidateInfo {
                needs_f16: true,
                ..CandidateInfo::plain("half")
            },
            can: |_| true,
            suits: |_, _| true,
            way: 0,
        },
        Candidate {
            info: CandidateInfo::plain("even"),
            can: |n| n % 2 == 0,
            suits: |traits, n| traits.software && *n > 10,
            way: 1,
        },
        Candidate {
            info: CandidateInfo::plain("any"),
            can: |_| true,
            suits: |_, _| true,
            way: 2,
        },
    ];

    #[test]
    fn the_first_that_can_and_suits_is_taken_but_for_a_forced_one() {
        let gpu = Traits::default();
        let cpu = Traits {
            software: true,
            ..Traits::default()
        };
        let half = Traits {
            f16: true,
            ..Traits::default()
        };
        let forced = Traits {
            forced: vec!["even", "half"],
            ..Traits::default()
        };
        let chosen = |traits: &Traits, n: u32| traits.choose(&TABLE, &n).way;
        assert_eq!([chosen(&gpu, 12), chosen(&gpu, 4)], [2, 2]);
        assert_eq!(
            [chosen(&cpu, 12), chosen(&cpu, 4), chosen(&cpu, 13)],
            [1, 2, 2]
        );
        assert_eq!(chosen(&half, 12), 0);
        // What is forced must be able to do it, and the adapter to run it.
        assert_eq!([chosen(&forced, 4), chosen(&forced, 5)], [1, 2]);
    }
}
