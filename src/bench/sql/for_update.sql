\set w random(1, :wallets)
BEGIN;
SELECT balance FROM wallets WHERE id=:w FOR UPDATE;
UPDATE wallets SET balance=balance-10 WHERE id=:w;
INSERT INTO tx(wallet,amount,reason) VALUES (:w,-10,'summarize');
COMMIT;
