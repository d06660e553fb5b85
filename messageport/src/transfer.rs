//! Messages through a ring: cut into records on one side, gathered again on the other.
//!
//! For the link. A message that fits one step is one record. A larger one goes in pieces, one message at a time in each
//! direction, with whole records of others between its pieces. This layer knows how large a message may be and which
//! records may follow which; it does not know who waits for a message, when they give up, nor how a bell is rung.

mod order;
mod descriptors;
mod incoming;
mod sending;
mod outgoing;

pub(crate) use descriptors::Descriptors;
pub(crate) use incoming::{Arrival, Claim, Inbound, Incoming, Payload};
pub(crate) use order::Breach;
pub(crate) use outgoing::Outgoing;
pub(crate) use sending::{Sending, Step};

#[cfg(test)]
mod tests;
