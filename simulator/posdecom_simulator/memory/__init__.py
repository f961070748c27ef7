"""A terminal's memory as hardware: flash, battery-backed SRAM, secure element. Knows neither keys nor lifecycle."""
