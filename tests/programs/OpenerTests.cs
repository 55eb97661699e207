using IommuFd.GrainInterfaces;
using IommuFd.TestSupport;
using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>What monitoring shows of the programs that have descriptors of a context.</summary>
[Collection(GatewayCollection.Name)]
public sealed class OpenerTests(GatewayFixture gateway)
{
    [Theory]
    [InlineData("test-openers", false)]
    [InlineData("test-openers-static", true)]
    public async Task A_contexts_programs_are_the_processes_that_have_its_descriptors(string program, bool isSupervised)
    {
        ProgramSummary[] both = [];
        ProgramSummary[] parent = [];
        var outcome = await (isSupervised ? Programs.RunSupervisedAsync(gateway.Socket, [Programs.Built(program)], StepAsync) : Programs.RunBridgedAsync(gateway.Socket, Programs.Built(program), StepAsync));

        Assert.True(outcome.Status == 0, $"tests/bridge/openers.c: {outcome}");
        var (processes, name) = (outcome.Output.Split('\n')[0].Split(' ')[1..].Select(int.Parse).ToArray(), program[..Math.Min(program.Length, 15)]);
        Assert.Equal([new ProgramSummary(processes[0], name, 2), new ProgramSummary(processes[1], "child[1m", 1)], both);
        Assert.Equal([new ProgramSummary(processes[0], name, 2)], parent);
        await Eventually.TrueAsync(async () => (await PageAsync()).Total == 0, "the context of openers.c is gone with its programs");

        async Task StepAsync(Stream input)
        {
            both = await ProgramsAsync(count: 2);
            await input.WriteAsync("\n"u8.ToArray());
            await input.FlushAsync();
            parent = await ProgramsAsync(count: 1);
        }
    }

    private Task<ContextPage> PageAsync() => gateway.Monitor.ListContextsAsync(new ContextQuery("test-openers", ContextOrder.Opened, Descending: false, 0, 10));

    private async Task<ProgramSummary[]> ProgramsAsync(int count)
    {
        ProgramSummary[] programs = [];
        await Eventually.TrueAsync(
            async () =>
            {
                programs = (await PageAsync()).Contexts is [var context] ? context.Programs : [];
                return programs.Length == count && programs[0].Descriptors == 2;
            }, $"the context of openers.c has {count} programs");
        return programs;
    }
}
