//! Waiting for the answer to a request: looking for it, giving it up, and what it says.

use super::{Answered, Call};
use crate::error::{SendError, TransportError};
use crate::local::LARGEST;
use crate::remote::calls::Answer;
use crate::remote::client::End;
use crate::remote::deadline::Deadline;
use crate::remote::waiter::PRIVATE;
use crate::remote::writing::{NONE, Sent};
use crate::transfer::Sending;
use crate::wire::{Head, Kind, Status};

impl Call<'_> {
    pub(super) fn wait_for_reply(&mut self, sent: Sent) -> Result<Answered, SendError> {
        let until = Deadline::after(self.options.reply_timeout);
        let mut looked = false;
        if self.mode == *PRIVATE {
            self.look_closely(sent, until);
        }
        loop {
            if let Some(answer) = self.take_answer(sent) {
                return answer;
            }
            if self.is_over(sent) {
                self.client.check();
                let answer = self.last_look(sent);
                let given_up = matches!(self.client.end(), End::Invalidated | End::Broken);
                // The reply of a port that is gone may be there, and only wait for room here.
                if answer.is_some() || given_up || !self.client.is_held() {
                    return answer.unwrap_or_else(|| Err(self.end()));
                }
            }
            if looked && until.has_passed() {
                return self.give_up(sent);
            }
            self.wait(until)?;
            looked = true;
        }
    }

    /// Looks for the answer for as long as it may come at once, and takes in what has come.
    fn look_closely(&self, sent: Sent, until: Deadline) {
        let Some(waiter) = &self.waiter else { return };
        let client = self.client;
        waiter.look_closely(client, || {
            // Another thread may take it in; and nothing more may come.
            client.calls().is_answered(sent.conversation)
                || self.is_over(sent)
                || until.has_passed()
        });
        if client.link.has_data() {
            client.take_in(Some(&waiter.source));
        }
    }

    /// Whether no answer can come that is not there already.
    fn is_over(&self, sent: Sent) -> bool {
        let page = self.client.link.page();
        self.client.end() != End::Open || (page.peer_is_closing() && !page.is_taken(sent.position))
    }

    /// At the deadline: what is there wins, then the end of the port, then the deadline.
    fn give_up(&mut self, sent: Sent) -> Result<Answered, SendError> {
        if let Some(answer) = self.last_look(sent) {
            return answer;
        }
        if !self.client.link.look() {
            self.client.check();
            return self.last_look(sent).unwrap_or_else(|| Err(self.end()));
        }
        self.cancel(sent);
        Err(SendError::ReceiveTimeout)
    }

    /// Takes in what has come, for the last time.
    fn last_look(&mut self, sent: Sent) -> Option<Result<Answered, SendError>> {
        let own = self.waiter.as_ref().map(|waiter| &waiter.source);
        self.client.take_in(own);
        self.take_answer(sent)
    }

    fn take_answer(&mut self, sent: Sent) -> Option<Result<Answered, SendError>> {
        let answer = self.client.calls().take_answer(sent.conversation)?;
        self.expected = None;
        Some(match answer {
            Answer::Reply(payload, descriptors) => Ok((payload, descriptors)),
            Answer::Status(Status::Overload) => Err(TransportError::Overload.into()),
            Answer::Status(Status::Unpassable) => Err(TransportError::Unpassable.into()),
            Answer::TooLarge | Answer::Status(Status::TooLarge) => {
                let most = self.client.link.page().largest().unwrap_or(LARGEST);
                // What was not too large to be sent has a reply that is.
                let limit = if self.size > most {
                    most
                } else {
                    self.client.settings.largest_reply
                };
                Err(TransportError::TooLarge { limit }.into())
            }
            Answer::Status(_) => Err(SendError::BecameInvalid),
        })
    }

    /// Tells the port that nobody waits any more, if there is room for that.
    fn cancel(&self, sent: Sent) {
        let head = Head {
            kind: Kind::Cancel,
            msgid: 0,
            aux: 0,
            conversation: sent.conversation,
            nfds: 0,
        };
        let mut cancel = Sending::new(head, &[][..]);
        if let Err(lie) = self
            .client
            .link
            .step(self.client.link.outgoing(), &mut cancel, NONE)
        {
            self.client.set_broken(&lie);
        }
    }
}
