using IommuFd.Linearizability;
using IommuFd.TestSupport;
using IommuFd.UnitTests.Support;
using Xunit.Abstractions;

namespace IommuFd.UnitTests.Linearizability;

/// <summary>The checker on random histories of services that are right and of some that are not.</summary>
public sealed class SimulatedServiceTests(ITestOutputHelper output)
{
    private const int Histories = 8;
    private const int Operations = 400;

    [Fact]
    public void Histories_of_a_service_that_is_right_pass() => CheckAll(Flaw.None, Verdict.Linearizable, Seed.Of(output));

    [Theory]
    [InlineData(Flaw.Loses)]
    [InlineData(Flaw.Repeats)]
    [InlineData(Flaw.AnswersFromACopy)]
    public void Histories_of_a_service_with_a_flaw_are_caught(Flaw flaw)
    {
        // A flaw can go unnoticed by chance, so that these are always the same.
        CheckAll(flaw, Verdict.Violation, seed: 1);
    }

    [Fact]
    public void Thousands_of_operations_of_ten_clients_are_checked_in_a_bounded_number_of_steps_each()
    {
        const int Many = 5000;
        var seed = Seed.Of(output);
        var result = Check(new SimulatedService(seed, clients: 10, lost: 0.002).Run(Many));
        output.WriteLine($"seed {seed}: {result.Operations}, {result.Steps} steps, {result.Elapsed.TotalMilliseconds:F0} ms");
        Expect.Equal(Verdict.Linearizable, result.Verdict, $"seed {seed}");
        Expect.That(result.Steps < 400 * Many, $"It took {result.Steps} steps for {Many} operations, seed {seed}.");
    }

    private void CheckAll(Flaw flaw, Verdict expected, int seed)
    {
        for (var i = 0; i < Histories; i++)
        {
            var result = Check(new SimulatedService(seed + i, flaw).Run(Operations));
            var (all, unanswered) = result.Operations;
            output.WriteLine($"{seed + i}: {result.Verdict}; {all} operations, {unanswered} unanswered, {result.Prefix.Count} in order; {result.Steps} steps, {result.Elapsed.TotalMilliseconds:F0} ms");
            Expect.That(result.Verdict == expected, $"IOMMUFD_SEED={seed + i}, flaw {flaw}: {LinearizabilityReport.Write(result)}");
        }
    }

    private static LinearizabilityResult Check(History history) => new LinearizabilityChecker<ContextState>(new ContextSpecification()).Check(history);
}
