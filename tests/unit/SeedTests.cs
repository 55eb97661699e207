using System.Globalization;
using IommuFd.TestSupport;
using IommuFd.UnitTests.Support;
using Xunit.Abstractions;

namespace IommuFd.UnitTests;

/// <summary>A random test can be run again with what it has printed.</summary>
public sealed class SeedTests
{
    private readonly Lines _output = new();

    [Theory]
    [InlineData("123456789", 123456789)]
    [InlineData("0", 0)]
    [InlineData("-2147483648", int.MinValue)]
    public void The_seed_that_the_variable_gives_is_taken_and_printed(string given, int expected)
    {
        Expect.Equal(expected, Seed.Of(_output, given), $"the seed of '{given}'");
        Expect.Sequence([$"IOMMUFD_SEED={given} replays this"], _output.Written, "the lines printed");
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public void Without_the_variable_every_test_draws_another_and_prints_what_gives_it_again(string? given)
    {
        int[] drawn = [.. Enumerable.Range(0, 10).Select(_ => Seed.Of(_output, given))];
        Expect.That(drawn.Distinct().Count() > 1, $"Ten tests drew the same seed, {drawn[0]}.");
        Expect.Sequence(drawn.Select(seed => string.Create(CultureInfo.InvariantCulture, $"IOMMUFD_SEED={seed} replays this")), _output.Written, "the lines printed");
        Expect.Sequence(drawn, _output.Written.ToArray().Select(line => Seed.Of(_output, line["IOMMUFD_SEED=".Length..line.IndexOf(' ')])), "the seeds when what was printed is given");
    }

    [Theory]
    [InlineData("twelve")]
    [InlineData("0x10")]
    [InlineData("1.5")]
    [InlineData("1,000")]
    [InlineData(" ")]
    [InlineData("2147483648")]
    public void What_is_no_seed_is_refused_and_named(string given)
    {
        var exception = Assert.Throws<FormatException>(() => Seed.Of(_output, given));
        Expect.That(exception.Message.StartsWith($"IOMMUFD_SEED is '{given}': ", StringComparison.Ordinal), $"The message does not name the variable and what it is: {exception.Message}");
        Expect.Sequence([], _output.Written, "the lines printed");
    }

    private sealed class Lines : ITestOutputHelper
    {
        public List<string> Written { get; } = [];

        public void WriteLine(string message) => Written.Add(message);

        public void WriteLine(string format, params object[] args) => Written.Add(string.Format(CultureInfo.InvariantCulture, format, args));
    }
}
