//! Rooms: names, a broadcast channel for each room, a task that sends for each peer. Says
//! `Welcome NAME!` to each new peer and `NAME: text` to everybody else in the room; no notices, no
//! limits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::broadcast::{self, Sender, error::RecvError};

type Room = Sender<(Arc<str>, Utf8Bytes)>;
type Rooms = Arc<Mutex<HashMap<String, Room>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let address = std::env::args().nth(1).expect("an address to listen on");
    let join = |Path(name): Path<String>,
                RawQuery(room): RawQuery,
                State(rooms): State<Rooms>,
                upgrade: WebSocketUpgrade| async move {
        let mut rooms = rooms.lock().expect("nobody panics");
        let room = rooms
            .entry(room.unwrap_or_default())
            .or_insert_with(|| broadcast::channel(1024).0)
            .clone();
        upgrade.on_upgrade(move |socket| chat(socket, name.into(), room))
    };
    let app = Router::new()
        .route("/chat/{name}", get(join))
        .with_state(Rooms::default());
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .expect("an address that is free");
    axum::serve(listener, app).await.expect("a listener");
}

async fn chat(socket: WebSocket, name: Arc<str>, room: Room) {
    let (mut sink, mut stream) = socket.split();
    let mut heard = room.subscribe();
    if sink
        .send(Message::text(format!("Welcome {name}!")))
        .await
        .is_err()
    {
        return;
    }
    let own = name.clone();
    // Ends with the peer: `abort` below, or when its socket fails.
    let sender = tokio::spawn(async move {
        loop {
            match heard.recv().await {
                Ok((author, text)) if author != own => {
                    if sink.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    });
    while let Some(Ok(Message::Text(text))) = stream.next().await {
        let _ = room.send((name.clone(), format!("{name}: {text}").into()));
    }
    sender.abort();
}
