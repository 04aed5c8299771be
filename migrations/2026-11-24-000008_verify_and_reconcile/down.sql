DROP TABLE platform_movements;
DROP TABLE switches;
DROP TABLE verifications;
