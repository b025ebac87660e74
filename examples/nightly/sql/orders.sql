SELECT * FROM orders WHERE day = :day AND region = :region;
