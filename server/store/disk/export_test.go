package disk

// WithLog makes a new folder's number the same every time.
func WithLog(cfg Config, number uint64) Config {
	cfg.logNumber = number
	return cfg
}
