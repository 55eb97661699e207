global using IommuFd.TestSupport;
global using Xunit;
