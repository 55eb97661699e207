using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

public sealed class GrainChannelTests
{
    [Fact]
    public async Task A_client_of_a_grain_factory_finds_a_context_by_its_handle()
    {
        var asked = new List<(Type Interface, object Key)>();
        var grain = new FakeContextGrain();
        var client = new IommufdClient(FakeGrainFactory.For((type, key) =>
        {
            asked.Add((type, key));
            return grain;
        }));

        var context = await client.OpenAsync();

        Expect.Sequence([(typeof(IContextGrain), (object)context.Handle.Key.Value)], asked, "the grains that were asked for");
    }

    [Fact]
    public void Without_a_cluster_requests_go_to_this_process()
        => Expect.Equal("in-process", new GrainChannel(FakeGrainFactory.For((_, _) => new FakeContextGrain())).ServerAddress, "the server's address");

    [Fact]
    public void A_client_needs_a_grain_factory()
        => Expect.Equal("grains", Assert.Throws<ArgumentNullException>(() => new IommufdClient(grains: null!)).ParamName, "what is named");
}
