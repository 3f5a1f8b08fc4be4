//! The AS list: who the peers are, what lies behind them, and what they may send.
