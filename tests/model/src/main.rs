//! Checks the models. Each one is explored whole: every order of steps, with every fault at every
//! moment.

mod numbers;

use stateright::{Checker, Model};

fn main() {
    for (name, model) in numbers::worlds() {
        let checker = model.checker().threads(2).spawn_bfs().join();
        println!("numbers, {name}: {} states", checker.unique_state_count());
        checker.assert_properties();
    }
}
