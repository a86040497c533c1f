//! How fast a connection speaks: each frame counts for its name, and so does a message that brings a
//! new name itself.

use super::Session;
use crate::chat::event::Refusal;
use crate::chat::rate::Verdict;

impl Session<'_> {
    /// Judges a frame that has come in, before it is read.
    pub(in crate::net) fn check_rate(&mut self) -> Verdict {
        self.rate
            .check(&self.context.rate_limits, self.user.as_ref())
    }

    /// Judges a message again that has brought its own name. Without this, each connection could say
    /// one message under a name whose rate is used up.
    pub(super) fn count_for_new_name(&mut self) -> Result<(), Refusal> {
        let limits = &self.context.rate_limits;
        match self.rate.check_renamed(limits, self.user.as_ref()) {
            Verdict::Pass => Ok(()),
            // Whether it floods is judged with its next frame.
            Verdict::Refuse | Verdict::Flood => Err(Refusal::RateLimited(limits.per_second())),
        }
    }
}
