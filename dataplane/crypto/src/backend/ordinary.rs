//! Ordinary code, compiled for more instructions than every processor has.
//!
//! The packet path around the kernels is compiled for the least processor that the program runs on. Most have more: three-operand
//! vectors, shifts that leave the flags alone, loads that swap bytes. [`Instructions`] finds out once, and then runs code in a form that
//! the compiler made for them.

#[cfg(target_arch = "x86_64")]
use super::x86::ordinary::X86v3;

/// What is to be run. The compiler makes one form of it for each level of instructions.
///
/// That reaches as far as `run` and all it calls is `#[inline(always)]`: what is called by its address is as it was compiled elsewhere.
pub trait Work {
    /// What comes of it.
    type Output;

    /// Does it.
    fn run(self) -> Self::Output;
}

/// The instructions that ordinary code may use.
#[derive(Clone, Copy, Debug)]
pub struct Instructions {
    #[cfg(target_arch = "x86_64")]
    v3: Option<X86v3>,
}

impl Instructions {
    /// Those that every processor has that the program runs on.
    pub const LEAST: Self = Self {
        #[cfg(target_arch = "x86_64")]
        v3: None,
    };

    /// Those of this processor.
    pub fn detect() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            v3: X86v3::detect(),
        }
    }

    /// Does `work` with them.
    #[inline(always)]
    pub fn run<W: Work>(self, work: W) -> W::Output {
        #[cfg(target_arch = "x86_64")]
        if let Some(v3) = self.v3 {
            return v3.run(work);
        }
        work.run()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sum<'a>(&'a [u64]);

    impl Work for Sum<'_> {
        type Output = u64;

        #[inline(always)]
        fn run(self) -> u64 {
            self.0.iter().sum()
        }
    }

    #[test]
    fn whatever_the_instructions_the_result_is_the_same() {
        let numbers: Vec<u64> = (0..1_000).collect();
        for instructions in [Instructions::LEAST, Instructions::detect()] {
            assert_eq!(instructions.run(Sum(&numbers)), 499_500, "{instructions:?}");
        }
    }
}
