//! The message rate of a connection: each frame counts for its name, and so does a message that
//! brings a new name.

use super::Session;
use crate::chat::event::Refusal;
use crate::chat::rate::Verdict;

impl Session<'_> {
    /// Counts a frame before it is parsed.
    pub(in crate::net) fn check_rate(&mut self) -> Verdict {
        self.rate
            .check(&self.context.rate_limits, self.user.as_ref())
    }

    /// Counts a message again if it brought its own name. Without this, each connection could send
    /// one message under a name whose rate is used up.
    pub(super) fn count_for_new_name(&mut self) -> Result<(), Refusal> {
        let limits = &self.context.rate_limits;
        match self.rate.check_renamed(limits, self.user.as_ref()) {
            Verdict::Pass => Ok(()),
            // The next frame decides whether this is a flood.
            Verdict::Refuse | Verdict::Flood => Err(Refusal::RateLimited(limits.per_second())),
        }
    }
}
