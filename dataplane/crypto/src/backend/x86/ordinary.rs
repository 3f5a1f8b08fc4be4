//! Ordinary code for processors of level `x86-64-v3` (System V ABI for AMD64, "Micro-Architecture Levels").

use crate::backend::ordinary::Work;

/// Proof that the processor has the instructions of `x86-64-v3`.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend) struct X86v3(());

impl X86v3 {
    /// The proof, if it has.
    pub(in crate::backend) fn detect() -> Option<Self> {
        let has_v2 = is_x86_feature_detected!("cmpxchg16b")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("sse4.2")
            && is_x86_feature_detected!("ssse3");
        let has_v3 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("movbe");
        (has_v2 && has_v3).then_some(Self(()))
    }

    /// Does `work` with these instructions.
    #[inline(always)]
    pub(in crate::backend) fn run<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "cmpxchg16b,popcnt,sse4.2,ssse3,avx2,bmi1,bmi2,f16c,fma,lzcnt,movbe")]
        fn featured<W: Work>(work: W) -> W::Output {
            work.run()
        }
        // SAFETY: `self` exists, so `detect` found each of the features.
        unsafe { featured(work) }
    }
}
