SELECT * FROM refunds WHERE day = :day AND region = :region;
