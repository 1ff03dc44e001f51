\set w random(1, :wallets)
WITH u AS (UPDATE wallets SET balance=balance-10 WHERE id=:w AND balance>=10 RETURNING id) INSERT INTO tx(wallet,amount,reason) SELECT id,-10,'summarize' FROM u;
