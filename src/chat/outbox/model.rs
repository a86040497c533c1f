//! A property test: a simple model of an outbox and the real one get the same random calls, and
//! must never differ.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;

use super::tests::Pipe;
use super::try_write::VECTORS;
use super::*;
use crate::chat::frame;

/// One buffer, and its frames.
#[derive(Clone)]
struct Part(Vec<Bytes>);

impl Part {
    fn bytes(&self) -> Bytes {
        self.0.concat().into()
    }
}

struct Model {
    limit: usize,
    /// How many bytes the socket still takes.
    room: usize,
    /// All frames that have ever been queued for the socket, in order.
    line: Vec<Bytes>,
    /// How many bytes of `line` the socket has taken.
    taken: usize,
    /// Buffered parts, and whether each is in the log.
    buffered: Option<Vec<(Part, bool)>>,
    entering: bool,
    overflowed: bool,
    closed: Option<CloseReason>,
}

fn length(parts: &[Part]) -> usize {
    parts.iter().flat_map(|part| &part.0).map(Bytes::len).sum()
}

impl Model {
    fn queued_before_buffered(&self) -> usize {
        self.line.iter().map(Bytes::len).sum::<usize>() - self.taken
    }

    fn queued(&self) -> usize {
        let buffered = self.buffered.iter().flatten();
        self.queued_before_buffered()
            + buffered
                .map(|(part, _)| length(std::slice::from_ref(part)))
                .sum::<usize>()
    }

    fn take(&mut self, most: usize) {
        let n = most.min(self.room);
        self.taken += n;
        self.room -= n;
    }

    fn send(&mut self, parts: &[Part]) {
        let idle = self.queued_before_buffered() == 0;
        self.line
            .extend(parts.iter().flat_map(|part| part.0.clone()));
        if idle {
            self.take(length(&parts[..parts.len().min(VECTORS)]));
        }
    }

    fn push(&mut self, parts: &[Part], from_attic: bool) {
        if self.closed.is_some() {
            return;
        }
        match &mut self.buffered {
            Some(buffered) => {
                if !(from_attic && self.entering && self.overflowed) {
                    buffered.extend(parts.iter().map(|part| (part.clone(), from_attic)));
                }
            }
            None => self.send(parts),
        }
        self.enforce_limit();
    }

    fn push_before_buffered(&mut self, parts: &[Part]) {
        if self.closed.is_none() {
            self.send(parts);
            self.enforce_limit();
        }
    }

    fn start_buffering(&mut self, entering: bool) {
        if self.closed.is_some() {
            return;
        }
        if self.buffered.is_none() {
            self.buffered = Some(Vec::new());
            (self.entering, self.overflowed) = (false, false);
        }
        if entering {
            (self.entering, self.overflowed) = (true, false);
            self.forget_logged();
        }
    }

    fn forget_logged(&mut self) {
        let entering = self.entering;
        self.buffered
            .iter_mut()
            .for_each(|buffered| buffered.retain(|(_, from_attic)| !(entering && *from_attic)));
    }

    fn cancel_join(&mut self) {
        if self.buffered.is_some() {
            self.forget_logged();
            self.overflowed = true;
        }
    }

    fn send_buffered(&mut self) {
        let buffered = self.buffered.take().unwrap_or_default();
        let parts: Vec<Part> = buffered.into_iter().map(|(part, _)| part).collect();
        self.push(&parts, false);
    }

    fn enforce_limit(&mut self) {
        if self.queued() > self.limit {
            self.cancel_join();
        }
        if self.queued() > self.limit {
            self.close(CloseReason::Slow);
        }
    }

    /// Keeps the frames that the socket has taken, also partly.
    fn close(&mut self, reason: CloseReason) {
        if self.closed.is_some() {
            return;
        }
        (self.closed, self.buffered) = (Some(reason), None);
        if reason == CloseReason::Slow {
            let mut length = 0;
            self.line.retain(|frame| {
                let started = length < self.taken;
                length += frame.len();
                started
            });
        }
        if let Some((code, text)) = reason.close_code() {
            self.send(&[Part(vec![frame::close(code, text)])]);
        }
    }
}

/// The peer's task: whether it has been woken since it last flushed.
#[derive(Default)]
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Both {
    outbox: Outbox<Arc<Pipe>>,
    pipe: Arc<Pipe>,
    task: Arc<Task>,
    limits: Arc<OutboxLimits>,
    model: Model,
    /// Whether the last flush found nothing to do, and whether the peer was closed then.
    flushed: Option<(bool, bool)>,
}

impl Both {
    fn new(limit: usize) -> Both {
        let pipe = Arc::new(Pipe::default());
        let limits = Arc::new(OutboxLimits::new(limit, limit));
        let model = Model {
            limit,
            room: 0,
            line: Vec::new(),
            taken: 0,
            buffered: None,
            entering: false,
            overflowed: false,
            closed: None,
        };
        Both {
            outbox: Outbox::new(pipe.clone(), Framing::WebSocket, limits.clone()),
            pipe,
            task: Arc::default(),
            limits,
            model,
            flushed: None,
        }
    }

    fn any_call(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (outbox, model) = (&self.outbox, &mut self.model);
        let attic = Room::new("attic").unwrap();
        match u.int_in_range(0..=11)? {
            0..=2 => {
                let parts = any_parts(u)?;
                outbox.push(&bytes(&parts));
                model.push(&parts, false);
            }
            3..=4 => {
                let (parts, from_attic) = (any_parts(u)?, u.arbitrary()?);
                let cellar = Room::new("cellar").unwrap();
                outbox.push_from(if from_attic { &attic } else { &cellar }, &bytes(&parts));
                model.push(&parts, from_attic);
            }
            5 => {
                let parts = any_parts(u)?;
                outbox.push_before_buffered(&bytes(&parts));
                model.push_before_buffered(&parts);
            }
            6 => {
                outbox.start_buffering(Bytes::new());
                model.start_buffering(false);
            }
            7 => {
                outbox.begin_join(&attic);
                model.start_buffering(true);
            }
            8 => {
                outbox.send_buffered();
                model.send_buffered();
            }
            9 => match u.int_in_range(0..=7)? {
                0 => {
                    let reason =
                        *u.choose(&[CloseReason::Slow, CloseReason::Stopping, CloseReason::Left])?;
                    outbox.close(reason);
                    model.close(reason);
                }
                _ => {
                    outbox.cancel_join();
                    model.cancel_join();
                }
            },
            _ => self.flush(u.int_in_range(0..=200)?),
        }
        Ok(())
    }

    /// Flushes to a socket that takes this many bytes.
    fn flush(&mut self, room: usize) {
        self.pipe.room(room);
        self.model.room = room;
        self.model.take(self.model.queued_before_buffered());
        self.task.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(self.task.clone());
        let flushed = self.outbox.poll_flush(&mut Context::from_waker(&waker));
        let flushed = flushed.map(|flushed| flushed.unwrap());
        let expected = match (self.model.queued_before_buffered(), self.model.closed) {
            (1.., _) => Poll::Ready(true),
            (0, Some(_)) => Poll::Ready(false),
            (0, None) => Poll::Pending,
        };
        assert_eq!(flushed, expected);
        self.flushed = Some((flushed.is_pending(), self.model.closed.is_some()));
    }

    fn compare(&self) {
        let (outbox, model) = (&self.outbox, &self.model);
        assert_eq!(outbox.close_reason(), model.closed);
        assert_eq!(self.pipe.heard(), model.line.concat()[..model.taken]);
        assert_eq!(
            outbox.queued_before_buffered(),
            model.queued_before_buffered()
        );
        assert_eq!(outbox.queued(), model.queued());
        // A buffer that is partly taken counts as a whole.
        let begun = self.limits.queued().checked_sub(model.queued());
        assert!(begun.is_some_and(|begun| begun <= model.taken));
        if model.closed.is_none() {
            let overflowed = model.buffered.is_some() && model.overflowed;
            assert_eq!(outbox.overflowed(), overflowed);
            assert!(model.queued() <= model.limit);
        }
        let must_wake = self.flushed.is_some_and(|(idle, ended)| {
            idle && model.queued_before_buffered() > 0 || !ended && model.closed.is_some()
        });
        assert!(
            !must_wake || self.task.0.load(Ordering::Relaxed),
            "nobody woke the task"
        );
    }
}

fn any_parts(u: &mut Unstructured<'_>) -> Result<Vec<Part>> {
    (0..u.int_in_range(0..=3)?).map(|_| any_part(u)).collect()
}

fn any_part(u: &mut Unstructured<'_>) -> Result<Part> {
    let frames = (0..u.int_in_range(1..=3)?).map(|_| {
        let length = *u.choose(&[0, 1, 5, 20, 125, 126])?;
        let letter = u.int_in_range(b'a'..=b'z')?;
        Ok(frame::text(&char::from(letter).to_string().repeat(length)))
    });
    frames.collect::<Result<_>>().map(Part)
}

fn bytes(parts: &[Part]) -> Vec<Bytes> {
    parts.iter().map(Part::bytes).collect()
}

#[test]
fn any_sequence_of_calls_does_what_the_model_does() {
    arbtest(|u| {
        let mut both = Both::new(*u.choose(&[30, 300, 3000])?);
        while !u.is_empty() {
            both.any_call(u)?;
            both.compare();
        }
        both.outbox.send_buffered();
        both.model.send_buffered();
        both.compare();
        both.flush(usize::MAX);
        both.compare();
        assert_eq!(both.outbox.queued(), 0);
        drop(both.outbox);
        assert_eq!(both.limits.queued(), 0);
        Ok(())
    })
    .size_min(64)
    .size_max(1024)
    .budget_ms(2000);
}
