//! Inside a runtime of `tokio`, as one of its tasks.

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Builder;

use crate::support::{is_served_by, serve};

#[test]
fn a_task_of_tokio_serves_everything_and_sleeps_in_between() {
    is_served_by(|embedding, wakes| {
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            #[expect(
                deprecated,
                reason = "the new name is `unsafe`, since not everything keeps its descriptor; an embedding does"
            )]
            let embedding = AsyncFd::with_interest(embedding, Interest::READABLE).unwrap();
            loop {
                let mut ready = embedding.readable().await.unwrap();
                wakes.add();
                if serve(embedding.get_ref()) {
                    return;
                }
                // Otherwise it is ready still, and the next turn of this loop goes on.
                if !embedding.get_ref().is_ready().unwrap() {
                    ready.clear_ready();
                }
            }
        });
    });
}
